"""A job, its status and its attempts, as the rest of the domain sees them."""

from enum import StrEnum
from typing import Any

import msgspec

from leaseway.errors import InvalidInputError


class JobStatus(StrEnum):
    """The status of a job: CREATED and RUNNING are live, the others are its end."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended: only a retry by hand leaves this status."""
        return self not in LIVE


LIVE = (JobStatus.CREATED, JobStatus.RUNNING)


def parse_status(text: str) -> JobStatus:
    """Parse the name of a status; for compatibility, FINISHED is accepted for COMPLETED.

    Raises:
        InvalidInputError: there is no such status.
    """
    try:
        return JobStatus.COMPLETED if text == "FINISHED" else JobStatus(text)
    except ValueError:
        known = ", ".join(JobStatus.__members__)
        raise InvalidInputError(f"unknown status {text!r}; there are {known}", field="status") from None


class AttemptEnd(StrEnum):
    """How an attempt ended; RUNNING if it has not."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CRASHED = "CRASHED"
    """Its worker sent no heartbeat before the lease ended."""
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
    end: AttemptEnd
    error: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job at one moment. Times are milliseconds since the epoch, UTC."""

    id: str
    type: str
    payload: dict[str, Any]
    owner: str
    status: JobStatus
    result: dict[str, Any] | None = None
    error_message: str | None = None
    ttl_ms: int
    """Time to live, from the start of each attempt."""
    attempts: int = 0
    crashes: int = 0
    max_attempts: int
    worker: str | None = None
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    updated_at: int
    run_after: int | None = None
    deadline: int | None = None
    lease_until: int | None = None
    fence: int = 0
    version: int = 1
    claim_token: str | None = None
    payload_key: str | None = None
    result_key: str | None = None
    look_at: int | None = None
    dead_lettered_at: int | None = None
    retention_days: int | None = None
    """How long it is kept once it is finished; None for the deployment's default."""
    expires_at: int | None = None
    """When it is removed, in seconds since the epoch; None while it is live."""
    attempts_before: int | None = None
    """Attempts made before the last retry by hand; None if there was none."""
    task_id: str | None = None
    """The recurring task that made it."""
    order_key: str | None = None
    """Jobs of one owner with the same key start one by one, in the order of creation."""
    queue: str | None = None
    """The name of its queue; None for the normal one, or for that of tasks if a task made it."""
    slot: int | None = None
    """The slot of its schedule that it runs for; None if it was started by hand."""
    tags: tuple[str, ...] = ()
    history: tuple[Attempt, ...] = ()
    """Attempts that did not complete; `list_attempts` adds the last one."""
    progress: int | None = None
    """Thousandths of the work that the last attempt reported as done; None if it reported nothing."""
    progress_note: str | None = None
