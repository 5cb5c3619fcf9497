"""Claiming a job: the conditional write that starts an attempt, and what a refused one means.

    CREATED --claim--> RUNNING            fresh: the job's turn has come
    RUNNING --take over--> RUNNING        its worker's lease ran out, so the worker counts as dead

A claim costs one write unit and no read. A refusal costs the same and comes with the item that refused it.
"""

import secrets
from collections.abc import Sequence

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.jobs.job import AttemptEnd, JobStatus
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.jobs.transitions import to_running
from leaseway.settings import settings


class Claimed(msgspec.Struct, frozen=True):
    """The job is ours, under this lease."""

    lease: Lease


class Settled(msgspec.Struct, frozen=True):
    """Nothing is left to do for this message: the job is finished, was just ended here, or is gone."""

    reason: str


class NotYet(msgspec.Struct, frozen=True):
    """Another worker holds the job, or its turn comes later. Hide the message until then (ms since the epoch)."""

    until: int
    reason: str
    is_duplicate: bool = False
    """Whether the job comes back without this message if its worker dies: by the one that its worker keeps hidden, or
    by the sweeper. Such a message is to be deleted: it would only be received again and again while the job runs."""


class Abandoned(msgspec.Struct, frozen=True):
    """The worker that holds this lease died and no attempt or crash limit is reached: `take_over` may claim the job."""

    lease: Lease


Outcome = Claimed | Settled | NotYet | Abandoned

HIDING_MARGIN_MS = 5_000
"""A message stays hidden this much longer than its job's lease: when it is seen again, the lease has surely ended."""


def claim(job_id: str, worker: str, *, message_id: str | None = None, without_message: bool = False) -> Outcome:
    """Start an attempt at a CREATED job whose turn has come. One write, no read.

    `message_id` names the message that brought the job; the job remembers the one that its worker keeps hidden.
    `without_message` is for a worker that keeps no message hidden: the sweeper looks after the job from the end of its
    lease on, which moves it in the live index (two units more).

    Two workers with the same message, and one with another message of the job, drawn:

        A, message 1  --claim: CREATED, so granted, fence 1-->  runs, keeps message 1 hidden
        B, message 1  --claim: RUNNING, so refused--------->    hides message 1 until A's lease ends
        C, message 2  --claim: RUNNING, so refused--------->    a duplicate: C deletes message 2

    If A dies, message 1 appears again, whatever became of message 2.
    """
    now, token = clock.now_ms(), secrets.token_hex(8)
    is_created = JobModel.status == JobStatus.CREATED.value
    is_due = JobModel.run_after.does_not_exist() | (JobModel.run_after <= now)
    has_attempts_left = JobModel.attempts < JobModel.max_attempts
    hidden = None if without_message else message_id
    actions = [*to_running(worker, token, now, hidden), JobModel.deadline.set(JobModel.ttl_ms + now)]
    actions += _look_after_lease(now) if without_message else []
    return _start(job_id, actions, is_created & is_due & has_attempts_left, token, message_id)


def take_over(
    abandoned: Lease, worker: str, *, message_id: str | None = None, without_message: bool = False
) -> Outcome:
    """Start an attempt at a job whose worker died; it counts a crash. One write, no read.

    The attempt has the job's whole time to live: it starts from the beginning, as the one before it did.

    The fence that was read decides between two that take over: the first raises it, the second is refused.
    """
    now, token = clock.now_ms(), secrets.token_hex(8)
    lease_ended = JobModel.lease_until < now
    hidden = None if without_message else message_id
    actions = [*to_running(worker, token, now, hidden), JobModel.deadline.set(JobModel.ttl_ms + now)]
    actions += [JobModel.crashes.add(1)]
    actions += abandoned.end_attempt(AttemptEnd.CRASHED, "its worker died")
    actions += _look_after_lease(now) if without_message else []
    may_take_over = abandoned.is_held() & lease_ended & abandoned.is_in_time(now)
    return _start(abandoned.job.id, actions, may_take_over, token, message_id)


def _look_after_lease(now: int) -> list[Action]:
    return [JobModel.look_at.set(now + settings().lease_seconds * 1000 + TAKEOVER_GRACE_MS)]


def _start(job_id: str, actions: Sequence[Action], condition: Condition, token: str, message_id: str | None) -> Outcome:
    try:
        item: Item | None = JobModel.change(job_id, actions, condition)
    except ConditionRefusedError as refusal:
        item = refusal.item
    return _judge(item, token, message_id)


def _judge(item: Item | None, token: str, message_id: str | None) -> Outcome:
    """Judge the item that a claim wrote, or that refused it."""
    job = job_from_item(item) if item is not None else None
    if job is None:
        return Settled("gone")
    if job.status.is_terminal:
        return Settled("finished")
    lease = get_lease(job)
    if lease is None:
        return NotYet(job.run_after or clock.now_ms(), "its turn comes later")
    # With a refused claim too: the SDK repeated our own write after a lost answer.
    if lease.token == token:
        return Claimed(lease)
    return _judge_running(lease, message_id)


def _judge_running(lease: Lease, message_id: str | None) -> Outcome:
    now = clock.now_ms()
    if lease.deadline <= now:
        finish.expire(lease)
        return Settled("its time to live passed")
    if lease.until >= now:
        is_duplicate = lease.job.message_id != message_id
        return NotYet(lease.until + HIDING_MARGIN_MS, "another worker holds it", is_duplicate)
    reason = _refuse_takeover(lease)
    if reason is None:
        return Abandoned(lease)
    if finish.give_up(lease.job, reason, crashes=lease.job.crashes + 1):
        return Settled(reason)
    return NotYet(now + settings().lease_seconds * 1000, "its worker lives after all")


def _refuse_takeover(lease: Lease) -> str | None:
    """Return why the job may not be taken over; None if it may."""
    job = lease.job
    if job.crashes + 1 >= settings().crash_limit:
        return f"its worker died {job.crashes + 1} times"
    if job.attempts >= job.max_attempts:
        return "its worker died and no attempt is left"
    return None
