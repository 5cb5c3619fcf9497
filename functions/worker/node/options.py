"""The command line of a node."""

import argparse
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_POLL_SECONDS = 8
"""Below the read timeout of the clients, which is 10 s."""


@dataclass(frozen=True)
class NodeOptions:
    """How this node works. Times are seconds unless their name says otherwise."""

    name: str
    concurrency: int
    queues: tuple[str, ...]
    """Names of queues; empty for those that no Lambda function reads."""
    drain_seconds: float
    poll_seconds: int
    generate: bool
    report: bool
    interval_ms: int
    refresh_ms: int
    failure_percent: float | None
    take_over: str | None
    """The message to take over, as JSON, for a process that runs nothing else."""

    @property
    def lease_ms(self) -> int:
        """How long the generator's lease lasts without a renewal."""
        return 2 * self.refresh_ms


def parse(arguments: Sequence[str]) -> NodeOptions:
    """Parse a command line; exits with status 2 if it is invalid."""
    parser = argparse.ArgumentParser(prog="leaseway node")
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}")
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--queues", default="", type=_split_names)
    parser.add_argument("--drain-seconds", type=float, default=25)
    parser.add_argument("--poll-seconds", type=int, default=5, choices=range(1, LONGEST_POLL_SECONDS + 1))
    parser.add_argument("--generate", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--interval-ms", type=int, default=500)
    parser.add_argument("--refresh-ms", type=int, default=2_000)
    parser.add_argument("--failure-percent", type=float)
    parser.add_argument("--take-over", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("concurrency", "interval_ms", "refresh_ms"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return NodeOptions(**vars(options))


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
