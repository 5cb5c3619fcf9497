"""Ending an attempt: with a result, with an error, or because time or workers ran out.

Every write is fenced, so a worker that lost its lease changes nothing. A finished job leaves the live index and enters
the two outcome indexes in the write that finishes it: four write units under 1 KB.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.canonical import escape_surrogates
from leaseway.dynamodb.table import ConditionRefusedError, Item, Part
from leaseway.jobs import content, queue
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, LeaseLostError, get_lease
from leaseway.jobs.progress import Progress, clear_progress, complete_progress
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.table import RESULT_TEXT, JobModel, dead_letter_key, job_from_item
from leaseway.jobs.transitions import to_ended, to_waiting
from leaseway.jobs.types import RetryDelay, catalogue
from leaseway.logs import log
from leaseway.settings import settings

_UNSTARTED = "cancelled: no worker claimed it in time"

LONGEST_ERROR = 1_000
"""Characters of an error message that are kept."""


def complete(
    lease: Lease, result: dict[str, Any], latest: Progress | None = None, *, has_objects: bool = False
) -> JobStatus:
    """Record the result of an attempt; returns the status that the job now has.

    `latest` is the progress it last reported; `has_objects` notes that it stored objects of its own in the bucket.

    A late result, drawn:

        worker  --complete: deadline passed, so refused-->  CANCELLED by the same worker; the result is dropped
        sweeper --expire-->  CANCELLED                      worker --complete: not RUNNING, so refused-->  lease lost

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    job = lease.job
    stored = content.store(result, job.owner, job.id, f"result-{lease.fence}")
    actions = [
        *to_ended(job, JobStatus.COMPLETED, clock.now_ms()),
        JobModel.error_message.remove(),
        *complete_progress(job, latest),
        *_note_objects(has_objects),
    ]
    actions += [RESULT_TEXT.set(stored.text)] if stored.text is not None else []
    actions += [JobModel.result_key.set(stored.key)] if stored.key is not None else []
    return _end_attempt(lease, actions, JobStatus.COMPLETED)


def fail(
    lease: Lease, error: str, *, run_after: int | None = None, has_objects: bool = False, permanent: bool = False
) -> JobStatus:
    """Record an error of an attempt: back to CREATED with a backoff while attempts are left, else FAILED.

    A `permanent` error leaves no attempt: another one would fail in the same way. Nor is one left if the job would be
    too old by then.

    The retry waits until `run_after` (ms), by default a backoff from now. It is a new message, delayed by SQS up to
    900 s and sent by the sweeper beyond that. A job that keeps an order would lose its place by that, so it gets no new
    message: the worker hides the one it has until then. `has_objects` is as with `complete`.

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    job, now, message = lease.job, clock.now_ms(), escape_surrogates(error)[:LONGEST_ERROR]
    actions = [JobModel.error_message.set(message), *lease.end_attempt(AttemptEnd.ERROR, message)]
    run_after = run_after or now + backoff_ms(job)
    if permanent or job.attempts >= job.max_attempts or job.is_too_old(run_after):
        actions += [*to_ended(job, JobStatus.FAILED, now), *_note_objects(has_objects)]
        return _end_attempt(lease, actions, JobStatus.FAILED)
    actions += [*to_waiting(job.id, now, run_after), *clear_progress()]
    status = _end_attempt(lease, actions, JobStatus.CREATED)
    if status is JobStatus.CREATED and not Queue.of(job).keeps_order:
        queue.send_when_due([msgspec.structs.replace(job, run_after=run_after, version=job.version + 1)])
    return status


def backoff_ms(job: Job) -> int:
    """Wait before the next attempt: exponential up to a cap, jitter over the upper half of the step.

    The first step and the cap are the job type's `retry_delay`, or else `BACKOFF_BASE_MS` and `BACKOFF_CAP_MS`.

    The lower half is kept, so that waits grow from attempt to attempt; the rest is random, so that jobs that
    failed together do not return together. docs/decisions/0001 says why this is not full jitter.
    """
    kind = catalogue().get(job.type)
    declared = kind.retry_delay if kind is not None else None
    delay = declared or RetryDelay(settings().backoff_base_ms, settings().backoff_cap_ms)
    step = min(delay.longest_ms, delay.first_ms * 2 ** min(job.attempts - 1, 30))
    return random.randint(step // 2, step)  # noqa: S311 - jitter, not a secret


def expire(lease: Lease) -> bool:
    """Write CANCELLED on a RUNNING job whose time to live passed; returns whether this call did it."""
    ttl_passed = JobModel.deadline <= clock.now_ms()
    message = f"cancelled: not finished within its time to live of {lease.job.ttl_ms} ms"
    past = lease.end_attempt(AttemptEnd.EXPIRED, message)
    return _end(lease.job, JobStatus.CANCELLED, message, ttl_passed, past)


def end_unstarted(job: Job) -> bool:
    """Write CANCELLED on a job that no worker claimed by its `start_by`; returns whether this call did it."""
    start_passed = JobModel.start_by <= clock.now_ms()
    return _end(job, JobStatus.CANCELLED, _UNSTARTED, start_passed, [])


def end_unstarted_part(job: Job, now: int) -> Part:
    """Build the part of a transaction that does so, for a task's next run."""
    is_unclaimed = (JobModel.status == JobStatus.CREATED) & (JobModel.fence == 0)
    actions = [*to_ended(job, JobStatus.CANCELLED, now), JobModel.error_message.set(_UNSTARTED)]
    return JobModel.change_part(job.id, actions, is_unclaimed & (JobModel.start_by <= now))


def give_up(job: Job, reason: str, *, crashes: int | None = None, dead_lettered: bool = False) -> bool:
    """Write FAILED on a live job that no worker holds; returns whether this call did it.

    The lease must have ended (a CREATED job has none), so that a worker that is alive cannot lose its result here.
    """
    now, lease = clock.now_ms(), get_lease(job)
    extra = lease.end_attempt(AttemptEnd.CRASHED, reason) if lease is not None else []
    extra += [JobModel.crashes.set(crashes)] if crashes is not None else []
    if dead_lettered:
        extra += [JobModel.dead_lettered_at.set(now), JobModel.dead_letter_key.set(dead_letter_key(job.id))]
    return _end(job, JobStatus.FAILED, reason, _is_unheld(job, now), extra)


def cancel_too_old(job: Job) -> bool:
    """Write CANCELLED on a live job that no worker holds and whose age admits no attempt; returns whether it did."""
    now, lease = clock.now_ms(), get_lease(job)
    is_too_old = JobModel.start_before <= now
    message = f"cancelled: no attempt starts {job.expires_after_ms} ms after its creation"
    message += f"; the last one: {job.error_message}" if job.error_message else ""
    crash = [] if lease is None else lease.end_attempt(AttemptEnd.CRASHED, message)
    crash += [] if lease is None or lease.is_unconfirmed else [JobModel.crashes.add(1)]
    return _end(job, JobStatus.CANCELLED, message, _is_unheld(job, now) & is_too_old, crash)


def _is_unheld(job: Job, now: int) -> Condition:
    # The fence alone would not do: a job that was cancelled and retried by hand is CREATED under the same one.
    is_unmoved = JobModel.version == job.version
    unheld: Condition = is_unmoved & (JobModel.lease_until.does_not_exist() | (JobModel.lease_until < now))
    return unheld


def supersede_part(lease: Lease, now: int) -> Part:
    """Build the part of a transaction that writes CANCELLED on a job whose worker can no longer finish it.

    For a task's next run, which must not wait for it: its time to live has passed, or its worker has been dead for
    longer than a takeover takes.
    """
    ttl_passed = JobModel.deadline <= now
    not_taken_over = JobModel.lease_until <= now - TAKEOVER_GRACE_MS
    died = lease.until <= now - TAKEOVER_GRACE_MS
    reason = "its worker died, and the task's next run came before another took over" if died else "its time passed"
    actions = [
        *to_ended(lease.job, JobStatus.CANCELLED, clock.now_ms()),
        JobModel.error_message.set(f"cancelled: {reason}"),
        JobModel.crashes.set(lease.job.crashes + died),
        *lease.end_attempt(AttemptEnd.CRASHED if died else AttemptEnd.EXPIRED, reason),
    ]
    return JobModel.change_part(lease.job.id, actions, lease.is_held() & (ttl_passed | not_taken_over))


def _end(job: Job, status: JobStatus, message: str, condition: Condition, extra: Sequence[Action]) -> bool:
    unchanged = (JobModel.status == job.status.value) & (JobModel.fence == job.fence)
    actions = [
        *to_ended(job, status, clock.now_ms()),
        JobModel.error_message.set(message[:LONGEST_ERROR]),
        *extra,
    ]
    try:
        JobModel.change(job.id, actions, unchanged & condition)
    except ConditionRefusedError:
        return False  # another write moved the job first, and it stands
    log.info("job ended", extra={"action": "end", "job_id": job.id, "status": status.value, "reason": message})
    return True


def _end_attempt(lease: Lease, actions: Sequence[Action], status: JobStatus) -> JobStatus:
    try:
        JobModel.change(lease.job.id, actions, lease.is_held() & lease.is_in_time(clock.now_ms()))
    except ConditionRefusedError as refusal:
        return _judge_refusal(lease, refusal.item, status)
    return status


def _judge_refusal(lease: Lease, item: Item | None, status: JobStatus) -> JobStatus:
    job = job_from_item(item) if item is not None else None
    if job is not None and job.claim_token == lease.token:
        if job.status is status:
            return status  # the SDK repeated our own write after a lost answer
        current = get_lease(job)
        if current is not None and expire(current):
            return JobStatus.CANCELLED
    raise LeaseLostError(job_id=lease.job.id)


def _note_objects(has_objects: bool) -> list[Action]:
    return [JobModel.has_objects.set(True)] if has_objects else []
