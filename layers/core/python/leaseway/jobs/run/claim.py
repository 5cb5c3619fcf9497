"""Claiming a job: the conditional write that starts an attempt, and what a refused one means.

    CREATED --claim--> RUNNING            fresh: the job's turn has come
    RUNNING --take over--> RUNNING        its worker's lease ran out, so the worker counts as dead

A claim costs one write unit and no read. A refusal costs the same and comes with the item that refused it.
"""

import secrets

import msgspec
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.run import finish, progress
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.settings import settings


class Claimed(msgspec.Struct, frozen=True):
    """The job is ours until `job.lease_until`; `job.fence` and `job.claim_token` prove it."""

    job: Job


class Settled(msgspec.Struct, frozen=True):
    """Nothing is left to do for this message: the job is finished, was just ended here, or is gone."""

    reason: str


class NotYet(msgspec.Struct, frozen=True):
    """Another worker holds the job, or its turn comes later. Hide the message until then (ms since the epoch)."""

    until: int
    reason: str
    held: bool = True
    """Whether a worker holds it, so that its lease brings it back even without a message."""


class Abandoned(msgspec.Struct, frozen=True):
    """Its worker died and no attempt or crash limit is reached: `take_over` may claim it."""

    job: Job


Outcome = Claimed | Settled | NotYet | Abandoned

HIDING_MARGIN_MS = 5_000
"""A message stays hidden so much longer than its job's lease: when it is seen again, the lease has surely ended."""


def claim(job_id: str, worker: str, *, without_message: bool = False) -> Outcome:
    """Start an attempt at a CREATED job whose turn has come. One write, no read.

    `without_message` is for a worker that keeps no message hidden: the sweeper looks after the job from its lease's end
    on, which moves it in the live index (two units more).

    Two workers with the same message, drawn:

        A  --claim: CREATED, so granted, fence 1-->  runs
        B  --claim: RUNNING, so refused--------->    NotYet(A's lease end); B hides the message and reports it failed
    """
    now = clock.now_ms()
    token = secrets.token_hex(8)
    is_created = JobModel.status == JobStatus.CREATED.value
    its_turn = JobModel.run_after.does_not_exist() | (JobModel.run_after <= now)
    attempts_left = JobModel.attempts < JobModel.max_attempts
    try:
        item = JobModel.change(
            job_id,
            [*_start(now, worker, token, without_message), JobModel.deadline.set(JobModel.ttl_ms + now)],
            is_created & its_turn & attempts_left,
        )
    except ConditionRefusedError as refusal:
        return _judge(refusal.item, token, now)
    return Claimed(_job(item))


def take_over(abandoned: Job, worker: str, *, without_message: bool = False) -> Outcome:
    """Start an attempt at a job whose worker died; it keeps its deadline and counts a crash. One write, no read.

    The fence that was read decides between two that take over: the first raises it, the second is refused.
    """
    now = clock.now_ms()
    token = secrets.token_hex(8)
    nobody_came_first = (JobModel.status == JobStatus.RUNNING.value) & (JobModel.fence == abandoned.fence)
    lease_ran_out = JobModel.lease_until < now
    time_left = JobModel.deadline > now
    past = finish.remembered(abandoned, AttemptEnd.CRASHED, "its worker died")
    try:
        item = JobModel.change(
            abandoned.id,
            [*_start(now, worker, token, without_message), JobModel.crashes.add(1), *past],
            nobody_came_first & lease_ran_out & time_left,
        )
    except ConditionRefusedError as refusal:
        return _judge(refusal.item, token, now)
    return Claimed(_job(item))


def _start(now: int, worker: str, token: str, without_message: bool) -> list[Action]:
    lease_until = now + settings().lease_seconds * 1000
    return [
        *([JobModel.look_at.set(lease_until + finish.TAKEOVER_GRACE_MS)] if without_message else []),
        JobModel.status.set(JobStatus.RUNNING.value),
        JobModel.worker.set(worker),
        JobModel.started_at.set(now),
        JobModel.updated_at.set(now),
        JobModel.lease_until.set(lease_until),
        JobModel.claim_token.set(token),
        JobModel.attempts.add(1),
        JobModel.fence.add(1),
        JobModel.version.add(1),
        JobModel.run_after.remove(),
        *progress.erased(),
    ]


def _job(item: Item) -> Job:
    job = job_from_item(item)
    assert job is not None  # noqa: S101 - a live job never expires
    return job


def _judge(item: Item | None, token: str, now: int) -> Outcome:
    job = job_from_item(item) if item is not None else None
    if job is None:
        return Settled("gone")
    if job.status.is_terminal:
        return Settled("finished")
    if job.status is JobStatus.CREATED:
        return NotYet(job.run_after or now, "its turn comes later", held=False)
    if job.claim_token == token:
        return Claimed(job)  # the SDK repeated our own write after a lost answer
    return _judge_running(job, now)


def _judge_running(job: Job, now: int) -> Outcome:
    assert job.deadline is not None and job.lease_until is not None  # noqa: S101, PT018 - every RUNNING job has both
    if job.deadline <= now:
        finish.expire(job)
        return Settled("its time to live passed")
    if job.lease_until >= now:
        return NotYet(job.lease_until + HIDING_MARGIN_MS, "another worker holds it")
    reason = _no_takeover(job)
    if reason is None:
        return Abandoned(job)
    if finish.give_up(job, reason, crashes=job.crashes + 1):
        return Settled(reason)
    return NotYet(now + settings().lease_seconds * 1000, "its worker lives after all")


def _no_takeover(job: Job) -> str | None:
    if job.crashes + 1 >= settings().crash_limit:
        return f"its worker died {job.crashes + 1} times"
    if job.attempts >= job.max_attempts:
        return "its worker died and no attempt is left"
    return None
