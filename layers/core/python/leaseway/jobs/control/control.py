"""Control: a client cancels a job, or has one that ended badly tried again.

CREATED, RUNNING --cancel--> CANCELLED      a result that still comes is refused by its fence
FAILED, CANCELLED --retry--> CREATED        the same job: id, fence and attempts go on counting
"""

import secrets
from collections.abc import Callable, Container

from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.repetition import decide_until_written
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import ConflictError, MovedError
from leaseway.jobs import queue
from leaseway.jobs.find.read import read_job_item
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.lease import get_lease
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.jobs.transitions import to_another_life, to_ended

_TRIES = 5

Step = Callable[[Job], list[Action] | None]
"""Decides what to write on a job as it stands; None if there is nothing to do."""


class VersionMovedError(MovedError):
    """The job has changed since it was read."""

    code = "VERSION_MOVED"


class AlreadyEndedError(ConflictError):
    """The job has ended; there is nothing left to cancel."""

    code = "ALREADY_ENDED"


class NotRetryableError(ConflictError):
    """Only a job that is FAILED or CANCELLED can be retried."""

    code = "NOT_RETRYABLE"


def cancel_job(job_id: str, *, owner: str | None, actor: str, if_versions: Container[int] | None = None) -> Job:
    """End a job that has not ended. One read and one write of four units; a cancelled job is answered as it is.

    A running executor learns of it at its worker's next heartbeat, a third of the lease at the latest. Its result is
    refused in any case, drawn:

        client  --cancel: RUNNING, so granted-->  CANCELLED
        worker  --complete: not RUNNING, so refused-->  lease lost

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        AlreadyEndedError: it is COMPLETED or FAILED.
        VersionMovedError: its version is not among `if_versions`, or it keeps changing.
    """
    return _apply_to_latest(job_id, owner, if_versions, plan_cancel(actor))


def retry_job(job_id: str, *, owner: str | None, if_versions: Container[int] | None = None) -> Job:
    """Try a job again that FAILED or was CANCELLED. One read, one write of four units and one send.

    It gets as many attempts more as it was first granted, and its crashes are forgotten. The fence is never reset, so
    what an earlier attempt still writes is refused.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotRetryableError: it is neither FAILED nor CANCELLED.
        VersionMovedError: its version is not among `if_versions`, or it keeps changing.
    """
    job = _apply_to_latest(job_id, owner, if_versions, plan_retry)
    queue.send([queue.build_message(job)])
    return job


def plan_cancel(actor: str) -> Step:
    """Return the step that cancels a job in the name of `actor`; it raises AlreadyEndedError."""

    def step(job: Job) -> list[Action] | None:
        if job.status is JobStatus.CANCELLED:
            return None
        if job.status.is_terminal:
            raise AlreadyEndedError(f"the job is {job.status.value}", job_id=job.id, status=job.status.value)
        reason, lease = f"cancelled by {actor}", get_lease(job)
        past = lease.end_attempt(AttemptEnd.CANCELLED, reason) if lease is not None else []
        actions = to_ended(job, JobStatus.CANCELLED, clock.now_ms())
        return [*actions, JobModel.error_message.set(reason), JobModel.cancelled_by.set(actor), *past]

    return step


def plan_retry(job: Job, run_after: int | None = None) -> list[Action]:
    """Return the actions that give a job another life, not before `run_after` (ms). The caller sends its message.

    Raises:
        NotRetryableError: it is neither FAILED nor CANCELLED.
    """
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise NotRetryableError(f"the job is {job.status.value}", job_id=job.id, status=job.status.value)
    return to_another_life(job, clock.now_ms(), run_after)


def apply_as_seen(job: Job, step: Step) -> Job:
    """Apply what `step` decides if the job is still as it was seen. One write, no read; none if nothing is to be done.

    Raises:
        VersionMovedError: the job has moved.
    """
    try:
        return _apply(step, job)
    except ConditionRefusedError:
        raise VersionMovedError("it has changed since it was read", job_id=job.id) from None


def _apply_to_latest(job_id: str, owner: str | None, if_versions: Container[int] | None, step: Step) -> Job:
    """Read a job and apply what `step` decides; decide again for as long as others move the job in between."""
    job = read_job_item(job_id, owner=owner)

    def apply() -> Job | None:
        nonlocal job
        if if_versions is not None and job.version not in if_versions:
            raise VersionMovedError(f"its version is {job.version}", job_id=job.id, version=job.version)
        try:
            return _apply(step, job)
        except ConditionRefusedError as refusal:
            job = _read_item(refusal.item, job) if refusal.item else read_job_item(job_id, owner=owner)
            return None

    busy = VersionMovedError("others keep changing it", job_id=job_id)
    return decide_until_written(apply, tries=_TRIES, gives_up=busy)


def _apply(step: Step, job: Job) -> Job:
    """Write what `step` decides on the very version that was seen; returns the job after it.

    The SDK repeats a write whose answer was lost. The first one may have been applied, so the second is refused: the
    token that it left on the job shows that the change is ours.

    Raises:
        ConditionRefusedError: another change came first.
    """
    actions, token = step(job), secrets.token_hex(8)
    if actions is None:
        return job
    try:
        item: Item = JobModel.change(
            job.id, [*actions, JobModel.change_token.set(token)], JobModel.version == job.version
        )
    except ConditionRefusedError as refusal:
        if refusal.item is None or refusal.item.get("change_token") != {"S": token}:
            raise
        item = refusal.item
    return _read_item(item, job)


def _read_item(item: Item, before: Job) -> Job:
    return job_from_item(item) or before
