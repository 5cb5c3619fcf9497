"""A job, its status and its attempts, as the rest of the domain sees them."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from leaseway.errors import InvalidInputError
from leaseway.jobs.fields import Internal, Milliseconds, Public, Seconds, Thousandths, default


class JobStatus(StrEnum):
    """The status of a job: CREATED and RUNNING jobs are live, the others have ended."""

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
    """A job at one moment. A field is declared here and nowhere else; the views have the same order."""

    id: Public[str]
    type: Public[str]
    status: Public[JobStatus]
    owner: Public[str]
    tags: Public[tuple[str, ...]] = default(())
    payload: Annotated[
        Public[dict[str, Any]],
        Meta(description="null if it is large, in lists and in answers to changes; then read the job itself"),
    ]
    result: Annotated[
        Public[dict[str, Any] | None],
        Meta(description="null until the job is COMPLETED; if it is large, null like `payload`"),
    ] = default(None)
    error_message: Annotated[
        Public[str | None], Meta(description="Why the job failed, was cancelled, or is tried again")
    ] = default(None)
    ttl_ms: Annotated[Public[int], Meta(description="Time to live of each attempt")]
    expires_after_ms: Annotated[
        Public[int | None],
        Meta(description="No attempt starts once the job is older than this; null if there is no limit"),
    ] = default(None)
    attempts: Public[int] = default(0)
    max_attempts: Public[int]
    crashes: Annotated[Public[int], Meta(description="How many times its worker died")] = default(0)
    worker: Annotated[Public[str | None], Meta(description="The worker that ran it last")] = default(None)
    version: Annotated[Public[int], Meta(description="Changes only with the status")] = default(1)
    created_at: Public[Milliseconds]
    updated_at: Public[Milliseconds]
    started_at: Public[Milliseconds | None] = default(None)
    finished_at: Public[Milliseconds | None] = default(None)
    expires_at: Annotated[
        Public[Seconds | None],
        Meta(description="When the job and its objects in the bucket are removed; null before its end"),
    ] = default(None)
    run_after: Annotated[Public[Milliseconds | None], Meta(description="The earliest start of the next attempt")] = (
        default(None)
    )
    start_by: Annotated[
        Public[Milliseconds | None],
        Meta(description="The job is CANCELLED if no worker has claimed it by then; null if there is no limit"),
    ] = default(None)
    dead_lettered_at: Annotated[
        Public[Milliseconds | None],
        Meta(description="When it FAILED because no worker could process its message; otherwise null"),
    ] = default(None)
    deadline: Annotated[
        Public[Milliseconds | None], Meta(description="Until then, a result of the current attempt is accepted")
    ] = default(None)
    queue: Annotated[
        Public[str | None],
        Meta(
            description="The queue in which it waits: `high`, `normal`, `low`, `ordered`, `tasks`, or its type's name",
            examples=["normal"],
        ),
    ] = default(None)
    """The name of its queue; None for the normal one, or for that of tasks if a task made it."""
    order_key: Annotated[
        Public[str | None], Meta(description="The job waits until older jobs with the same key have ended")
    ] = default(None)
    task_id: Annotated[Public[str | None], Meta(description="The recurring task of which it is a run")] = default(None)
    progress: Annotated[
        Public[Thousandths | None], Meta(description="From 0 to 1, as reported by its executor; up to a second late")
    ] = default(None)
    progress_note: Public[str | None] = default(None)
    history: Annotated[Public[tuple[Attempt, ...]], Meta(description="The latest 20 attempts, oldest first")] = default(
        ()
    )
    """Attempts that did not complete; `list_attempts` adds the last one, and the views show that list."""

    lease_until: Internal[Milliseconds | None] = default(None)
    fence: Internal[int] = default(0)
    claim_token: Internal[str | None] = default(None)
    message_id: Internal[str | None] = default(None)
    """The SQS message that its worker keeps hidden while it runs; None if it waits, has ended, or is held without one.

    If the worker dies, that message brings the next one. Without it only the sweeper does."""
    lease_ms: Internal[int | None] = default(None)
    """The length of its lease and of each extension while it runs, if the claim chose one."""
    type_lease_ms: Internal[int | None] = default(None)
    """The length of a lease that its claim does not choose, as its type declared it; None for `LEASE_SECONDS`."""
    is_unconfirmed: Internal[bool | None] = default(None)
    """Whether it was claimed from outside and no heartbeat has come: perhaps nobody got the answer to the claim."""
    payload_key: Internal[str | None] = default(None)
    result_key: Internal[str | None] = default(None)
    look_at: Internal[Milliseconds | None] = default(None)
    start_before: Internal[Milliseconds | None] = default(None)
    """What `expires_after_ms` comes to: from then on no attempt starts."""
    retention_days: Internal[int | None] = default(None)
    """How long it is kept once it is finished; None for the deployment's default."""
    attempts_before: Internal[int | None] = default(None)
    """Attempts made before the last retry by hand; None if there was none."""
    cancelled_by: Internal[str | None] = default(None)
    """The client that cancelled it; None if it has not ended, or ended in any other way."""
    slot: Internal[int | None] = default(None)
    """The slot of its schedule that it runs for; None if it was started by hand."""

    def is_too_old(self, start: int) -> bool:
        """Whether an attempt may no longer start at that moment."""
        return self.start_before is not None and self.start_before <= start

    def is_overdue(self, now: int) -> bool:
        """Whether no worker has ever claimed the job, although one had to by now."""
        never_claimed = self.status is JobStatus.CREATED and self.fence == 0
        return never_claimed and self.start_by is not None and self.start_by <= now
