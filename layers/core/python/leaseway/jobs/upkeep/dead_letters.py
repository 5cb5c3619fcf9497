"""Judging dead letters: messages that were received `maxReceiveCount` times and settled by no claim.

How often a message was received says nothing about its job: another worker may have held it all the time, or workers
may have had no time left for it. So a dead letter is judged by what its job is now:

    finished or gone                                 --> dropped
    held by a worker                                 --> dropped; the sweeper looks after the job from now on
    held by a worker until its deadline              --> CANCELLED
    its worker died, or its turn comes later         --> sent afresh
    due, but moved since the message was sent        --> sent afresh: claimed, retried or given back at least once
    due, unmoved, for less than DEAD_LETTER_SECONDS  --> sent afresh, a lease later
    due, unmoved, for longer                         --> FAILED: workers receive its messages and cannot claim it
"""

from enum import StrEnum

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.queue import JobMessage
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item, live_key
from leaseway.settings import settings


class LetterVerdict(StrEnum):
    """What became of a dead letter."""

    DROPPED = "dropped"
    SENT_AFRESH = "sent afresh"
    CANCELLED = "cancelled"
    FAILED = "failed"


class NotSentError(Exception):
    """SQS did not take the fresh message; the dead letter must stay."""


def judge(body: str) -> LetterVerdict:
    """Judge one dead letter. One consistent read, then at most one write or one send.

    Raises:
        NotSentError: the fresh message could not be sent.
    """
    try:
        message = queue.parse(body)
    except queue.MalformedMessageError:
        return LetterVerdict.DROPPED  # it names no job, so no job waits for it
    item = JobModel.read(message.job_id)
    job = job_from_item(item) if item is not None else None
    if job is None or job.status.is_terminal:
        return LetterVerdict.DROPPED
    lease = get_lease(job)
    return _judge_waiting(job, message) if lease is None else _judge_running(lease)


def _judge_running(lease: Lease) -> LetterVerdict:
    now = clock.now_ms()
    if lease.has_expired(now):
        return LetterVerdict.CANCELLED if finish.expire(lease) else LetterVerdict.DROPPED
    if lease.until < now:
        return _send_afresh(lease.job)
    _leave_to_sweeper(lease)
    return LetterVerdict.DROPPED


def _leave_to_sweeper(lease: Lease) -> None:
    """Have the sweeper bring the job back if its worker dies, in place of the message. One write of three units.

    The dead letter may be the very message that the worker keeps hidden. If it is a duplicate, this costs looks only.
    """
    if lease.job.message_id is None:
        return
    job_id = lease.job.id
    actions = [
        JobModel.look_at.set(min(lease.deadline, lease.until + TAKEOVER_GRACE_MS)),
        JobModel.live_key.set(live_key(job_id, timed=True)),
        JobModel.message_id.remove(),
    ]
    try:
        JobModel.change(job_id, actions, lease.is_held())
    except ConditionRefusedError:
        return  # it ended, was claimed or waits again since it was read, and each of these looks after its message


def _judge_waiting(job: Job, message: JobMessage) -> LetterVerdict:
    now, run_after = clock.now_ms(), job.run_after or 0
    if run_after > now:
        return _send_afresh(job, not_before=run_after)
    # Messages of earlier releases have no version, so they cannot show that the job has not moved.
    if message.version != job.version:
        return _send_afresh(job)
    if now - max(job.updated_at, run_after) <= settings().dead_letter_seconds * 1000:
        # Later, because workers that give it back at once would make it a dead letter again within seconds.
        return _send_afresh(job, not_before=now + settings().lease_seconds * 1000)
    reason = "dead letter: its message was received again and again, and no worker claimed the job"
    return LetterVerdict.FAILED if finish.give_up(job, reason, dead_lettered=True) else LetterVerdict.DROPPED


def _send_afresh(job: Job, not_before: int = 0) -> LetterVerdict:
    """Replace the dead letter by a message of the job as it is now, visible at `not_before` (ms) or 900 s from now."""
    delay = min(queue.LONGEST_DELAY_SECONDS, clock.seconds_until(not_before))
    if not queue.send([queue.build_message(job, delay)]):
        raise NotSentError(job.id)
    return LetterVerdict.SENT_AFRESH
