"""`make bench-idle`: the calls of a worker that waits an hour for a job, and what a month of them costs.

The loops are the shipped ones; only time and SQS's answers, which are empty, are simulated.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import msgspec

from leaseway.jobs import queue
from leaseway.jobs.queue import Received
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import external
from leaseway.settings import settings
from worker.node.lane import Lane
from worker.node.options import LONGEST_POLL_SECONDS, parse
from worker.node.slots import Slots

HOUR = 3_600
HOURS_A_MONTH = 730

API_MEMORY_GB = 0.5
DOLLARS_PER_GB_SECOND = 0.0000166667
DOLLARS_PER_INVOCATION = 0.20 / 1_000_000
DOLLARS_PER_API_REQUEST = 3.50 / 1_000_000
DOLLARS_PER_SQS_REQUEST = 0.40 / 1_000_000
"""On-demand prices of us-east-1, x86."""

EXTERNAL = Queue("EXTERNAL")


class Idleness(msgspec.Struct, frozen=True):
    """What an idle worker causes in an hour."""

    api_calls: int
    api_seconds: float
    """Time in which it occupies a concurrent execution."""
    receives: int

    @property
    def concurrency(self) -> float:
        """Concurrent executions that it occupies, on average."""
        return self.api_seconds / HOUR

    @property
    def dollars_a_month(self) -> float:
        """Price of a month."""
        compute = self.api_seconds * API_MEMORY_GB * DOLLARS_PER_GB_SECOND
        requests = self.api_calls * (DOLLARS_PER_API_REQUEST + DOLLARS_PER_INVOCATION)
        return HOURS_A_MONTH * (compute + requests + self.receives * DOLLARS_PER_SQS_REQUEST)


class _EmptyQueue:
    """A queue without messages: each receive takes the time that it waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.receives = 0
        self.on_receive: Callable[[], None] = lambda: None

    def receive(self, _: Queue, *, wait_seconds: int, **__: int) -> list[Received]:
        """Answer nothing, later."""
        self.receives += 1
        self.now += wait_seconds
        self.on_receive()
        return []

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the shipped code wait for this queue."""
        environment = {"TYPE_QUEUE_URLS": "EXTERNAL=https://sqs/external", "EXECUTORS_PACKAGE": "worker.executors"}
        with (
            patch.dict(os.environ, environment),
            patch.object(queue, "receive", self.receive),
            patch.object(external.time, "monotonic", lambda: self.now),
        ):
            settings.cache_clear()
            yield
        settings.cache_clear()


def measure_http(wait_seconds: int, pause_seconds: int) -> Idleness:
    """Measure a worker that claims over HTTP in a loop and pauses after each empty answer."""
    source, calls, occupied = _EmptyQueue(), 0, 0.0
    with source.in_place():
        while source.now < HOUR:
            began = source.now
            assert external.claim_next([EXTERNAL.name], "idle", wait_seconds) is None
            calls += 1
            occupied += source.now - began
            source.now += pause_seconds
    return Idleness(calls, occupied, source.receives)


def measure_node(poll_seconds: int) -> Idleness:
    """Measure a lane of a node, which receives from SQS itself."""
    source = _EmptyQueue()
    with source.in_place():
        lane = Lane("idle", EXTERNAL, Slots(1), isolate=lambda *_: None, on_end=lambda _: None)
        source.on_receive = lambda: lane.close() if source.now >= HOUR else None
        lane.poll(poll_seconds)
    return Idleness(0, 0.0, source.receives)


def measure_all() -> dict[str, Idleness]:
    """Measure each way to wait, by its name in docs/how-to/workers-anywhere.md."""
    return {
        "claim with `wait_seconds` 10, without a pause": measure_http(10, 0),
        "claim with `wait_seconds` 1, then pause 30 s": measure_http(1, 30),
        "claim with `wait_seconds` 1, then pause 300 s": measure_http(1, 300),
        "`leaseway node`, one queue": measure_node(parse([]).poll_seconds),
        "`leaseway node --poll-seconds 8`, one queue": measure_node(LONGEST_POLL_SECONDS),
    }


def format_line(name: str, idle: Idleness) -> str:
    """Format the line of a table."""
    counts = f"{idle.api_calls:,} | {idle.api_seconds:,.0f} s | {idle.receives:,}"
    return f"| {name} | {counts} | {idle.concurrency:.2f} | ${idle.dollars_a_month:.2f} |"


def main(_: Sequence[str] = ()) -> int:
    """Print the table."""
    print("| how it waits | API calls an hour | time in the function | SQS receives an hour | concurrency | a month |")
    print("|---|---|---|---|---|---|")
    for name, idle in measure_all().items():
        print(format_line(name, idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
