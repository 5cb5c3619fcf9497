"""Throughput if one job in twenty takes ten minutes and the others take a second."""

import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from msgspec import structs

from benchmarks.volume.row import Outcome, Row
from benchmarks.volume.simulated_queue import INVOCATION_MS, SimulatedQueue
from benchmarks.volume.virtual_time import WORKER, VirtualTime
from leaseway import clock, metrics
from leaseway.jobs import queue
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.lease import Lease
from leaseway.jobs.queue import JobMessage
from leaseway.jobs.queue_names import NORMAL
from leaseway.jobs.run import finish
from leaseway.jobs.run.claim import Claimed
from leaseway.logs import log
from leaseway.settings import settings
from worker import runner
from worker.batch import Batch
from worker.delivery import parse_deliveries

WORKERS = 10
SLOTS = 10
HOUR = 3_600
LONG_SECONDS, SHORT_SECONDS = 600, 1
LONG_SHARE = 0.05
BLOCK = 200
CALL_SECONDS = 0.01
"""Any write of the table."""
INVOKING_SECONDS = 0.05
"""Between the answer of a worker and its next invocation."""

TARGET = 10_000


def _durations(seed: int) -> Iterator[int]:
    """Seconds that each job takes, without an end: in random order, and in each block the exact share of long ones."""
    order, longs = random.Random(seed), round(BLOCK * LONG_SHARE)
    block = [LONG_SECONDS] * longs + [SHORT_SECONDS] * (BLOCK - longs)
    while True:
        order.shuffle(block)
        yield from block


def _workers(scale: float) -> int:
    """At least one, so that a small scale is a smaller system that runs as long."""
    return max(1, round(WORKERS * scale))


def _outcome(completed: int, workers: int) -> Outcome:
    per_hour = completed * WORKERS / workers
    return Outcome(per_hour, f"{per_hour:,.0f} jobs/h")


# ---- At 883dc55: a worker is handed the next batch when the longest job of the last has ended ------------------------


def _before(scale: float) -> Outcome:
    workers = _workers(scale)
    completed = sum(_count_completed(_durations(seed)) for seed in range(workers))
    return _outcome(completed, workers)


def _count_completed(durations: Iterator[int]) -> int:
    now, completed = 0.0, 0
    while now < HOUR:
        batch = [next(durations) for _ in range(SLOTS)]
        completed += sum(now + seconds <= HOUR for seconds in batch)
        now += max(batch) + INVOKING_SECONDS
    return completed


# ---- Now: the worker's own code, over a table and a queue that answer in virtual time --------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    """The worker's settings, without its log."""
    previous = log.level
    with patch.dict(os.environ, {"EXECUTORS_PACKAGE": "worker.executors"}):
        settings.cache_clear()
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(previous)
    settings.cache_clear()


class _System:
    """Workers of one queue for an hour. Only the table, the queue and Lambda are simulated."""

    def __init__(self, workers: int) -> None:
        self.completed = 0
        self._time = VirtualTime()
        self._workers = workers
        self._jobs: dict[str, Job] = {}
        self._numbers = count()
        self._queue = SimulatedQueue(self._time, self._messages())

    def _messages(self) -> Iterator[JobMessage]:
        for seconds in _durations(seed=0):
            if self._time.now >= HOUR:
                return
            yield self._create(seconds)

    def _create(self, seconds: int) -> JobMessage:
        now, job_id = clock.now_ms(), f"job-{next(self._numbers)}"
        ttl_ms = (seconds + 59) * 1_000
        self._jobs[job_id] = Job(
            id=job_id, type="SLEEP", payload={"duration_ms": seconds * 1_000}, owner="ann", status=JobStatus.CREATED,
            ttl_ms=ttl_ms, max_attempts=3, created_at=now, updated_at=now,
        )  # fmt: skip
        return JobMessage(job_id, ttl_ms)

    def run(self) -> int:
        """Run the workers for an hour; returns how many jobs they completed in it."""
        with ExitStack() as stack:
            stack.enter_context(self._time.replaces_time_of(*WORKER))
            stack.enter_context(_quiet())
            for owner, name, replacement in self._replacements():
                stack.enter_context(patch.object(owner, name, replacement))
            self._time.run(self._start_workers)
        return self.completed

    def _replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        yield from ((queue, name, getattr(self._queue, name)) for name in ("receive", "hide", "delete"))
        yield runner, "claim_job", self._claim
        yield Lease, "extend", lambda lease, **_: self._extend(lease)
        yield Lease, "report", lambda _, __: self._time.sleep(CALL_SECONDS)
        yield finish, "complete", self._complete
        yield metrics, "flush", lambda _: None

    def _start_workers(self) -> None:
        for number in range(self._workers):
            self._time.spawn(self._work, f"worker-{number}")

    def _work(self, name: str) -> None:
        """Invoke a worker with up to ten messages, again and again, as an event source mapping does."""
        while messages := self._queue.take(SLOTS):
            began = self._time.now
            batch = Batch(name, lambda began=began: round(INVOCATION_MS - (self._time.now - began) * 1_000), NORMAL)
            settled = batch.process(parse_deliveries(messages, NORMAL))
            self._queue.delete(sorted(settled), NORMAL)
            self._time.sleep(INVOKING_SECONDS)

    def _claim(self, job_id: str, worker: str, **_: Any) -> Claimed:
        self._time.sleep(CALL_SECONDS)
        job, now = self._jobs.pop(job_id), clock.now_ms()
        return Claimed(
            Lease(
                job=job, fence=1, token="token", until=now + settings().lease_seconds * 1_000, deadline=now + job.ttl_ms
            )
        )

    def _extend(self, lease: Lease) -> Lease:
        self._time.sleep(CALL_SECONDS)
        return structs.replace(lease, until=clock.now_ms() + settings().lease_seconds * 1_000)

    def _complete(self, lease: Lease, *_: Any, **__: Any) -> JobStatus:
        self._time.sleep(CALL_SECONDS)
        if self._time.now <= HOUR:
            self.completed += 1
        return JobStatus.COMPLETED


def _now(scale: float) -> Outcome:
    workers = _workers(scale)
    return _outcome(_System(workers).run(), workers)


ROW = Row(
    number=3,
    what="5% of jobs of 600 s, the rest of 1 s, 10 workers of 10",
    target=f"at least {TARGET:,} jobs/h",
    is_reached=lambda per_hour: per_hour >= TARGET,
    before=_before,
    now=_now,
)
