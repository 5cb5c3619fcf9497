"""A node with an executor that never returns, and a neighbour that does. Prints what is left when the node ends."""

import os

import worker.run
from leaseway.jobs import Options, create_job
from support.worker_programs.in_memory import deployment, print_state
from worker.node.options import parse
from worker.node.process import Node


def main() -> None:
    with deployment() as queue_url:
        worker.run.OVERRUN_SECONDS = 0.2
        stubborn = create_job("ann", "STUBBORN", {}, Options(ttl_ms=500))
        quick = create_job("ann", "QUICK", {"wait_ms": 2_500})
        status = Node(parse(["--queues", "normal", "--concurrency", "2", "--poll-seconds", "1"])).run()
        print_state(queue_url, stubborn, quick)
        os._exit(status)


if __name__ == "__main__":
    main()
