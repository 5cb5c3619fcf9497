"""`python -m worker.node`: a node, with a function's settings in its environment."""

import logging
import os
import sys

from leaseway import coldstart

with coldstart.loading():
    from leaseway.logs import log
    from worker.node.options import parse
    from worker.node.process import Node


def main() -> None:
    """Run a node until it ends."""
    options = parse(sys.argv[1:])
    # Standard output is for the monitor: logs, metrics and what executors print go to standard error.
    sys.stdout = sys.stderr
    for handler in log.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    with coldstart.loading():
        node = Node(options)
    status = node.run()
    sys.stderr.flush()
    os._exit(status)  # an executor that never returns would keep the interpreter


if __name__ == "__main__":
    main()
