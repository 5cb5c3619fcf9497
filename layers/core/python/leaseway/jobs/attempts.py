"""The history of a job's attempts: who made each, from when to when, and how it ended.

An attempt that did not complete is added in the same write that ends it or takes it over, so the history costs no write
of its own, and a job that succeeds at once has none. The last attempt, if it runs or completed, is in the job itself.
"""

from collections.abc import Sequence

import msgspec

from leaseway.jobs.job import Attempt, AttemptEnd, Job, JobStatus

LONGEST_HISTORY = 20
"""The latest attempts that are kept; with retries by hand there may be more than `max_attempts`."""

LONGEST_ERROR = 200
"""Characters of an attempt's error that are kept; the job's own `error_message` may be longer."""

_END_OF_LAST = {JobStatus.RUNNING: AttemptEnd.RUNNING, JobStatus.COMPLETED: AttemptEnd.COMPLETED}


def list_attempts(job: Job) -> list[Attempt]:
    """List the latest attempts at a job, oldest first, including the one that runs or completed."""
    end = _END_OF_LAST.get(job.status)
    if end is None:
        return list(job.history)
    return [*job.history, Attempt(job.attempts, job.worker, job.started_at, job.finished_at, end)]


def extend_history(job: Job, end: AttemptEnd, ended_at: int, error: str) -> Sequence[Attempt]:
    """Add the present attempt of a RUNNING job to its history.

    Write it only under the fence that the job was read with: until the attempt ends, no other write adds to it.
    """
    attempt = Attempt(job.attempts, job.worker, job.started_at, ended_at, end, error[:LONGEST_ERROR])
    return [*job.history, attempt][-LONGEST_HISTORY:]


def encode_history(history: Sequence[Attempt]) -> str:
    """Encode a history as the table holds it."""
    return msgspec.json.encode(history).decode()
