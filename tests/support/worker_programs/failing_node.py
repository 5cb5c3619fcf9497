"""A node whose thread that polls fails. Exits as the node does."""

import os

from support.worker_programs.in_memory import deployment
from worker.node.lane import Lane
from worker.node.options import parse
from worker.node.process import Node


def fail_to_poll(_: Lane, wait_seconds: int) -> None:
    raise RuntimeError(f"no polling for {wait_seconds} seconds")


def main() -> None:
    with deployment():
        Lane.poll = fail_to_poll  # type: ignore[method-assign]
        os._exit(Node(parse(["--queues", "normal"])).run())


if __name__ == "__main__":
    main()
