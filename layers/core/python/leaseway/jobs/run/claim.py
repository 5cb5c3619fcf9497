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
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled
from leaseway.idempotency import KeyedRequest
from leaseway.jobs.job import AttemptEnd, Job, JobStatus
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.run import finish
from leaseway.jobs.run.keyed_claims import ClaimRepeatedError, EarlierClaim, build_record, read_earlier_claim
from leaseway.jobs.table import JobModel, job_from_item, live_key
from leaseway.jobs.transitions import LeaseTerms, to_running
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

_TRIES = 4

HIDING_MARGIN_MS = 5_000
"""A message stays hidden this much longer than its job's lease: when it is seen again, the lease has surely ended."""


class OutsideClaim(msgspec.Struct, frozen=True):
    """What is special about the claim of a worker outside Lambda.

    It keeps no message hidden: the sweeper looks after the job from the end of its lease on, which moves it in the live
    index (two units more). It is unconfirmed until its first heartbeat. If none comes, the answer to the claim was
    lost: the next claim takes the job over free of charge, without counting an attempt or a crash.
    """

    lease_seconds: int | None = None
    """The length of the lease; None for that of the job's type, or else `LEASE_SECONDS`."""
    keyed: KeyedRequest | None = None
    """The key under which a repeat gets the same job: one transaction, six units, and a read."""


def claim(job_id: str, worker: str, *, message_id: str | None = None, outside: OutsideClaim | None = None) -> Outcome:
    """Start an attempt at a CREATED job whose turn has come. One write, no read; `OutsideClaim` has its own price.

    `message_id` names the message that brought the job; the job remembers the one that its worker keeps hidden.

    Two workers with the same message, and one with another message of the job, drawn:

        A, message 1  --claim: CREATED, so granted, fence 1-->  runs, keeps message 1 hidden
        B, message 1  --claim: RUNNING, so refused--------->    hides message 1 until A's lease ends
        C, message 2  --claim: RUNNING, so refused--------->    a duplicate: C deletes message 2

    If A dies, message 1 appears again, whatever became of message 2.

    Raises:
        ClaimRepeatedError: the key of an outside claim has claimed another job.
        UnavailableError: DynamoDB took no transaction of a keyed claim.
    """
    start = _Start(worker, message_id, outside)
    is_created = JobModel.status == JobStatus.CREATED
    is_due = JobModel.run_after.does_not_exist() | (JobModel.run_after <= start.now)
    has_attempts_left = JobModel.attempts < JobModel.max_attempts
    was_claimed_in_time = JobModel.start_by.does_not_exist() | (JobModel.start_by > start.now) | (JobModel.fence > 0)
    may_start = is_created & is_due & has_attempts_left & start.is_young_enough() & was_claimed_in_time
    return start.write(job_id, start.build_actions(job_id), may_start)


def take_over(
    abandoned: Lease, worker: str, *, message_id: str | None = None, outside: OutsideClaim | None = None
) -> Outcome:
    """Start an attempt at a job whose worker died; it counts a crash. One write, no read.

    The attempt has the job's whole time to live: it starts from the beginning, as the one before it did. If the claim
    before it was never confirmed, the job did not run: that attempt is given back, and no crash counts.

    The fence that was read decides between two that take over: the first raises it, the second is refused.

    Raises what `claim` raises.
    """
    start = _Start(worker, message_id, outside)
    may_start = abandoned.is_held() & (JobModel.lease_until < start.now) & start.is_young_enough()
    job_id = abandoned.job.id
    if abandoned.is_unconfirmed:
        returned = abandoned.end_attempt(AttemptEnd.RETURNED, "no heartbeat came: the answer to its claim was lost")
        actions = [*start.build_actions(job_id, counts_attempt=False), *returned]
        return start.write(job_id, actions, may_start & JobModel.is_unconfirmed.exists())
    crashed = [JobModel.crashes.add(1), *abandoned.end_attempt(AttemptEnd.CRASHED, "its worker died")]
    return start.write(job_id, [*start.build_actions(job_id), *crashed], may_start)


class _Start:
    """One try to start an attempt: the time and the random token of its claim, and what its write says."""

    def __init__(self, worker: str, message_id: str | None, outside: OutsideClaim | None) -> None:
        self.now = clock.now_ms()
        self._worker = worker
        self._message_id = message_id
        self._outside = outside
        self._token = secrets.token_hex(8)

    def is_young_enough(self) -> Condition:
        """Return the condition that the job's age admits an attempt."""
        young: Condition = JobModel.start_before.does_not_exist() | (JobModel.start_before > self.now)
        return young

    def build_actions(self, job_id: str, *, counts_attempt: bool = True) -> list[Action]:
        """Build what a claim writes. The deadline counts from now."""
        terms, look = LeaseTerms(self._message_id), []
        if self._outside is not None:
            lease_ms = None if self._outside.lease_seconds is None else self._outside.lease_seconds * 1000
            terms = LeaseTerms(lease_ms=lease_ms, is_unconfirmed=True)
            lease_until = self.now + (lease_ms or settings().lease_seconds * 1000)
            look_at = lease_until + TAKEOVER_GRACE_MS
            look = [JobModel.look_at.set(look_at), JobModel.live_key.set(live_key(job_id, timed=True))]
        running = to_running(self._worker, self._token, self.now, terms._replace(counts_attempt=counts_attempt))
        return [*running, *look, JobModel.deadline.set(JobModel.ttl_ms + self.now)]

    def write(self, job_id: str, actions: Sequence[Action], condition: Condition) -> Outcome:
        """Write the claim on that condition, and judge the item that it wrote or that refused it."""
        keyed = None if self._outside is None else self._outside.keyed
        item: Item | None
        try:
            if keyed is None:
                item = JobModel.change(job_id, actions, condition)
            else:
                item = self._write_keyed(job_id, actions, condition, keyed)
        except ConditionRefusedError as refusal:
            item = refusal.item
        return _judge(item, self._token, self._message_id)

    def _write_keyed(
        self, job_id: str, actions: Sequence[Action], condition: Condition, keyed: KeyedRequest
    ) -> Item | None:
        record = build_record(keyed, EarlierClaim(job_id, self._token))
        parts = [JobModel.change_part(job_id, actions, condition), record]

        def judge(cancelled: TransactionCancelledError) -> None:
            of_job, of_record = cancelled.reasons
            if of_record.refused and of_record.item is not None:
                raise ClaimRepeatedError(read_earlier_claim(keyed, of_record.item)) from None
            if of_job.refused:
                raise ConditionRefusedError(of_job.item) from None

        busy = "others claim or change the job at this very moment; try again"
        transact_until_settled(lambda: parts, judge, tries=_TRIES, busy=busy)
        return JobModel.read(job_id)


def _judge(item: Item | None, token: str, message_id: str | None) -> Outcome:
    """Judge the item that a claim wrote, or that refused it."""
    job = job_from_item(item) if item is not None else None
    if job is None:
        return Settled("gone")
    if job.status.is_terminal:
        return Settled("finished")
    lease = get_lease(job)
    if lease is None:
        return _judge_waiting(job, clock.now_ms())
    # With a refused claim too: the SDK repeated our own write after a lost answer.
    if lease.token == token:
        return Claimed(lease)
    return _judge_running(lease, message_id)


def _judge_waiting(job: Job, now: int) -> Outcome:
    if job.is_too_old(now) and finish.cancel_too_old(job):
        return Settled("too old to start")
    if job.is_overdue(now) and finish.end_unstarted(job):
        return Settled("no worker claimed it in time")
    return NotYet(job.run_after or now, "its turn comes later")


def _judge_running(lease: Lease, message_id: str | None) -> Outcome:
    now = clock.now_ms()
    if lease.has_expired(now):
        finish.expire(lease)
        return Settled("its time to live passed")
    if lease.until >= now:
        is_duplicate = lease.job.message_id != message_id
        return NotYet(lease.until + HIDING_MARGIN_MS, "another worker holds it", is_duplicate)
    if lease.job.is_too_old(now) and finish.cancel_too_old(lease.job):
        return Settled("too old to start again")
    reason = _refuse_takeover(lease)
    if reason is None:
        return Abandoned(lease)
    if finish.give_up(lease.job, reason, crashes=lease.job.crashes + 1):
        return Settled(reason)
    return NotYet(now + settings().lease_seconds * 1000, "its worker lives after all")


def _refuse_takeover(lease: Lease) -> str | None:
    """Return why the job may not be taken over; None if it may."""
    job = lease.job
    if lease.is_unconfirmed:
        return None
    if job.crashes + 1 >= settings().crash_limit:
        return f"its worker died {job.crashes + 1} times"
    if job.attempts >= job.max_attempts:
        return "its worker died and no attempt is left"
    return None
