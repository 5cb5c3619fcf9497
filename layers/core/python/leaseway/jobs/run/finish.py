"""Ending an attempt: every write is fenced, so a worker that lost its lease changes nothing.

    RUNNING --result in time--> COMPLETED
            --error, attempts left--> CREATED (run_after = backoff, a new delayed message)
            --error, none left--> FAILED
            --TTL passed--> CANCELLED

A finished job leaves the live index and enters the two outcome indexes, all in the write that finishes it:
four write units under 1 KB.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item, Part
from leaseway.errors import ConflictError
from leaseway.jobs import content, queue
from leaseway.jobs.attempts import encode_history, extend_history
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.run import progress
from leaseway.jobs.run.progress import Progress
from leaseway.jobs.table import JobModel, dead_letter_key, job_from_item, outcome_key, owner_outcome_key
from leaseway.logs import log
from leaseway.settings import settings

TAKEOVER_GRACE_MS = 15_000
"""After a lease's end the message itself should bring a new worker; others step in so much later."""

LONGEST_ERROR = 1_000
"""Characters of an error message that are kept."""


class LeaseLostError(ConflictError):
    """The claim does not hold the job any more: whatever its worker did is not recorded."""

    code = "LEASE_LOST"


def heartbeat(job: Job) -> int:
    """Extend the lease of our claim; returns its new end (ms). One write unit, no index is touched.

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    lease_until = clock.now_ms() + settings().lease_seconds * 1000
    try:
        JobModel.change(job.id, [JobModel.lease_until.set(lease_until)], _still_ours(job))
    except ConditionRefusedError as refusal:
        raise LeaseLostError(job_id=job.id) from refusal
    return lease_until


def report(job: Job, reached: Progress) -> None:
    """Show how far our claim has come. One write unit under 1 KB, no index is touched; the lease is not extended.

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    try:
        JobModel.change(job.id, progress.written(reached), _still_ours(job))
    except ConditionRefusedError as refusal:
        raise LeaseLostError(job_id=job.id) from refusal


def complete(job: Job, result: dict[str, Any], last: Progress | None = None, *, has_objects: bool = False) -> JobStatus:
    """Record the result of our claim; returns the status that the job now has. `last` is the latest it told of itself.

    `has_objects` tells that this attempt stored objects of its own in the bucket.

    A late result, drawn:

        worker  --complete: deadline passed, so refused-->  CANCELLED by the same worker; the result is dropped
        sweeper --expire-->  CANCELLED                      worker --complete: not RUNNING, so refused-->  lease lost

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    kept = content.store(result, job.owner, job.id, f"result-{job.fence}")
    actions = [*ended(job, JobStatus.COMPLETED), JobModel.error_message.remove(), *progress.completed(job, last)]
    actions += _noted(has_objects)
    actions += [JobModel.result.set(kept.text)] if kept.text is not None else []
    actions += [JobModel.result_key.set(kept.key)] if kept.key is not None else []
    return _end_attempt(job, actions, JobStatus.COMPLETED)


def fail(job: Job, error: str, *, run_after: int | None = None, has_objects: bool = False) -> JobStatus:
    """Record an error of our claim: back to CREATED with a backoff while attempts are left, else FAILED.

    The retry waits until `run_after` (ms), by default a backoff from now. It is a new message, delayed by SQS up to
    900 s and sent by the sweeper beyond that. A job that keeps an order would lose its place by that: whoever holds its
    message hides it until then.
    `has_objects` is as with `complete`.

    Raises:
        LeaseLostError: the job was finished, cancelled or claimed by another.
    """
    message = error[:LONGEST_ERROR]
    past = remembered(job, AttemptEnd.ERROR, message)
    if job.attempts >= job.max_attempts:
        actions = [*ended(job, JobStatus.FAILED), JobModel.error_message.set(message), *past, *_noted(has_objects)]
        return _end_attempt(job, actions, JobStatus.FAILED)
    run_after = run_after or clock.now_ms() + backoff_ms(job.attempts)
    status = _end_attempt(job, [*_waiting(message, run_after), *past], JobStatus.CREATED)
    if status is JobStatus.CREATED and not queue.Queue.of(job).keeps_order:
        queue.send_when_due([msgspec.structs.replace(job, run_after=run_after)])
    return status


def _noted(has_objects: bool) -> list[Action]:
    return [JobModel.has_objects.set(True)] if has_objects else []


def give_back(job: Job) -> bool:
    """Let another worker have our claim at once: a worker that ends leaves what it cannot finish. One write.

    Back to CREATED, and the attempt does not count: it was not the job that ended it. The fence stays, so that what
    the executor still does is refused. Returns whether the job was still ours; whoever gives it back shows its
    message again.
    """
    in_time = JobModel.deadline > clock.now_ms()
    actions = [
        JobModel.status.set(JobStatus.CREATED.value),
        JobModel.updated_at.set(clock.now_ms()),
        JobModel.version.add(1),
        JobModel.attempts.add(-1),
        JobModel.look_at.set(first_look(clock.now_ms())),
        JobModel.deadline.remove(),
        JobModel.lease_until.remove(),
        *remembered(job, AttemptEnd.RETURNED, "its worker was stopped"),
    ]
    try:
        JobModel.change(job.id, actions, _still_ours(job) & in_time)
    except ConditionRefusedError:
        return False
    return True


def backoff_ms(attempts: int) -> int:
    """Wait before the next attempt: exponential up to `BACKOFF_CAP_MS`, jitter over the upper half of the step.

    The lower half is kept, so that waits grow from attempt to attempt; the rest is random, so that jobs that
    failed together do not return together. docs/decisions/0001 says why this is not full jitter.
    """
    step = min(settings().backoff_cap_ms, settings().backoff_base_ms * 2 ** min(attempts - 1, 30))
    return random.randint(step // 2, step)  # noqa: S311 - jitter, not a secret


def expire(job: Job) -> bool:
    """Write CANCELLED on a RUNNING job whose time to live passed; returns whether this call did it."""
    now = clock.now_ms()
    ttl_passed = JobModel.deadline <= now
    message = f"cancelled: not finished within its time to live of {job.ttl_ms} ms"
    return _end_for(job, JobStatus.CANCELLED, message, ttl_passed, remembered(job, AttemptEnd.EXPIRED, message))


def give_up(job: Job, reason: str, *, crashes: int | None = None, dead_lettered: bool = False) -> bool:
    """Write FAILED on a live job that no worker holds; returns whether this call did it.

    The lease must have ended (a CREATED job has none), so that a worker that lives cannot lose its result here.
    """
    now = clock.now_ms()
    nobody_holds_it = JobModel.lease_until.does_not_exist() | (JobModel.lease_until < now)
    extra = remembered(job, AttemptEnd.CRASHED, reason)
    extra += [JobModel.crashes.set(crashes)] if crashes is not None else []
    if dead_lettered:
        extra += [JobModel.dead_lettered_at.set(now), JobModel.dead_letter_key.set(dead_letter_key(job.id))]
    return _end_for(job, JobStatus.FAILED, reason, nobody_holds_it, extra)


def superseding_part(job: Job, now: int) -> Part:
    """Write CANCELLED on a RUNNING job that nobody takes over any more, as a part of a transaction.

    For a task's next run, which must not wait for it: its time to live has passed, or its worker has been dead for
    longer than a takeover takes.
    """
    ttl_passed = JobModel.deadline <= now
    nobody_took_over = JobModel.lease_until <= now - TAKEOVER_GRACE_MS
    unchanged = (JobModel.status == JobStatus.RUNNING.value) & (JobModel.fence == job.fence)
    died = job.lease_until is not None and job.lease_until <= now - TAKEOVER_GRACE_MS
    reason = "its worker died, and the task's next run came before another took over" if died else "its time passed"
    message = JobModel.error_message.set(f"cancelled: {reason}")
    past = remembered(job, AttemptEnd.CRASHED if died else AttemptEnd.EXPIRED, reason)
    actions = [*ended(job, JobStatus.CANCELLED), message, JobModel.crashes.set(job.crashes + died), *past]
    return JobModel.change_part(job.id, actions, unchanged & (ttl_passed | nobody_took_over))


def _end_for(job: Job, status: JobStatus, message: str, allowed: Condition, extra: Sequence[Action] = ()) -> bool:
    unchanged = (JobModel.status == job.status.value) & (JobModel.fence == job.fence)
    actions = [*ended(job, status), JobModel.error_message.set(message[:LONGEST_ERROR]), *extra]
    try:
        JobModel.change(job.id, actions, unchanged & allowed)
    except ConditionRefusedError:
        return False  # somebody else moved the job first, and what they wrote stands
    log.info("job ended", extra={"action": "end", "job_id": job.id, "status": status.value, "reason": message})
    return True


def _still_ours(job: Job) -> Condition:
    ours: Condition = (JobModel.status == JobStatus.RUNNING.value) & (JobModel.fence == job.fence)
    return ours


def _end_attempt(job: Job, actions: Sequence[Action], status: JobStatus) -> JobStatus:
    in_time = JobModel.deadline > clock.now_ms()
    try:
        JobModel.change(job.id, actions, _still_ours(job) & in_time)
    except ConditionRefusedError as refusal:
        return _after_refusal(job, refusal.item, status)
    return status


def _after_refusal(job: Job, item: Item | None, wanted: JobStatus) -> JobStatus:
    found = job_from_item(item) if item is not None else None
    ours = found is not None and found.claim_token == job.claim_token
    if found is None or not ours:
        raise LeaseLostError(job_id=job.id)
    if found.status is wanted:
        return wanted  # the SDK repeated our own write after a lost answer
    if found.status is JobStatus.RUNNING and expire(found):
        return JobStatus.CANCELLED
    raise LeaseLostError(job_id=job.id)


def ended(job: Job, status: JobStatus) -> list[Action]:
    """What every end of a job writes: it leaves the live index, enters the two of its outcome, and begins to expire."""
    now = clock.now_ms()
    kept_days = job.retention_days or settings().retention_days
    return [
        JobModel.status.set(status.value),
        JobModel.finished_at.set(now),
        JobModel.expires_at.set(-(-now // 1000) + kept_days * 86_400),
        JobModel.updated_at.set(now),
        JobModel.version.add(1),
        JobModel.outcome_key.set(outcome_key(status, job.id)),
        JobModel.owner_outcome_key.set(owner_outcome_key(job.owner, status, job.id)),
        JobModel.live_key.remove(),
        JobModel.look_at.remove(),
        JobModel.lease_until.remove(),
        JobModel.run_after.remove(),
    ]


def remembered(job: Job, end: AttemptEnd, error: str) -> list[Action]:
    """What the end of an attempt that did not complete adds to the history; nothing where none was under way."""
    if job.status is not JobStatus.RUNNING:
        return []
    return [JobModel.history.set(encode_history(extend_history(job, end, clock.now_ms(), error)))]


def _waiting(message: str, run_after: int) -> list[Action]:
    return [
        JobModel.status.set(JobStatus.CREATED.value),
        JobModel.error_message.set(message),
        JobModel.updated_at.set(clock.now_ms()),
        JobModel.version.add(1),
        JobModel.run_after.set(run_after),
        JobModel.look_at.set(first_look(run_after)),
        JobModel.deadline.remove(),
        JobModel.lease_until.remove(),
        *progress.erased(),
    ]


def first_look(run_after: int) -> int:
    """When the sweeper first looks at a waiting job (ms): before it is due where SQS cannot delay so long."""
    longest = queue.LONGEST_DELAY_SECONDS * 1000
    wait = run_after - clock.now_ms()
    return run_after + settings().first_look_seconds * 1000 if wait <= longest else run_after - longest // 2
