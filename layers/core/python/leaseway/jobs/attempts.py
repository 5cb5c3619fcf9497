"""The attempts of a job: who made each, from when to when, and how it ended.

An attempt that did not complete is kept in the very write that ends it or takes it over, so the history costs no write
of its own and a job that succeeds at once has none. The last attempt, under way or completed, is what the job says.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from leaseway.jobs.table import Job

MOST_KEPT = 20
"""The latest attempts are kept; retries by hand may make more than a job may have by itself."""

LONGEST_ERROR = 200
"""Characters of an attempt's error that are kept; the job's own `error_message` is longer."""


class End(StrEnum):
    """How an attempt ended; RUNNING where it has not."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CRASHED = "CRASHED"
    """Its worker fell silent for longer than its lease."""
    EXPIRED = "EXPIRED"
    """The job's time to live passed."""
    CANCELLED = "CANCELLED"
    RETURNED = "RETURNED"
    """Its worker was stopped and gave the job back; the attempt did not count, and the next has its number."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt. Times are milliseconds since the epoch."""

    number: int
    worker: str | None
    started_at: int | None
    ended_at: int | None
    end: End
    error: str | None = None


def of(job: "Job") -> list[Attempt]:
    """The attempts of a job that are known, oldest first, with the one under way or completed."""
    last = {"RUNNING": End.RUNNING, "COMPLETED": End.COMPLETED}.get(job.status)
    if last is None:
        return list(job.history)
    return [*job.history, Attempt(job.attempts, job.worker, job.started_at, job.finished_at, last)]


def history_after(job: "Job", end: End, now: int, error: str) -> str:
    """What a RUNNING job's history is, as the table holds it, once its attempt has ended so.

    Whoever writes it must have seen the job under the same fence: until the attempt ends, nobody else adds to it.
    """
    # Nobody saw the worker die; its lease's end is when it counted as dead.
    ended_at = min(now, job.lease_until or now) if end is End.CRASHED else now
    attempt = Attempt(job.attempts, job.worker, job.started_at, ended_at, end, error[:LONGEST_ERROR])
    return msgspec.json.encode([*job.history, attempt][-MOST_KEPT:]).decode()


def parse(text: str) -> Sequence[Attempt]:
    """The history as the table holds it."""
    return msgspec.json.decode(text, type=tuple[Attempt, ...])
