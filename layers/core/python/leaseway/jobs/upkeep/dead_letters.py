"""Dead letters: messages that no claim settled are judged again, by what their job is now."""

from enum import StrEnum

from leaseway import clock
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import get_lease
from leaseway.jobs.run import finish
from leaseway.jobs.run.claim import HIDING_MARGIN_MS
from leaseway.jobs.table import JobModel, job_from_item


class Verdict(StrEnum):
    """What became of a dead letter."""

    DROPPED = "dropped"
    SENT_AFRESH = "sent afresh"
    CANCELLED = "cancelled"
    FAILED = "failed"


class NotSentError(Exception):
    """SQS did not take the fresh message; the dead letter must stay."""


def judge(body: str) -> Verdict:
    """Judge one dead letter. One consistent read, then at most one write or one send.

    A finished or vanished job needs no message. A job whose turn comes later, that a worker holds or that one may
    take over gets a fresh one: its deadline bounds how often. A job past its deadline is CANCELLED. Any other was
    handed out `maxReceiveCount` times while it waited for a claim, and is FAILED.

    Raises:
        NotSentError: the fresh message could not be sent.
    """
    try:
        message = queue.parse(body)
    except queue.MalformedMessageError:
        return Verdict.DROPPED  # it names no job, so no job waits for it
    item = JobModel.read(message.job_id)
    job = job_from_item(item) if item is not None else None
    if job is None or job.status.is_terminal:
        return Verdict.DROPPED
    waits_until = _waits_until(job)
    if waits_until is not None:
        return _send_afresh(job, waits_until)
    return _end(job)


def _waits_until(job: Job) -> int | None:
    """When a fresh message of this job can do something (ms); None where it waits for nothing."""
    now, lease = clock.now_ms(), get_lease(job)
    if lease is not None:
        return lease.until + HIDING_MARGIN_MS if lease.deadline > now else None
    return job.run_after if job.run_after is not None and job.run_after > now else None


def _send_afresh(job: Job, until: int) -> Verdict:
    delay = min(queue.LONGEST_DELAY_SECONDS, clock.seconds_until(until))
    if not queue.send([queue.message_of(job, delay)]):
        raise NotSentError(job.id)
    return Verdict.SENT_AFRESH


def _end(job: Job) -> Verdict:
    lease = get_lease(job)
    if lease is not None and lease.deadline <= clock.now_ms():
        return Verdict.CANCELLED if finish.expire(lease) else Verdict.DROPPED
    reason = "dead letter: its message was received again and again, and no worker claimed the job"
    return Verdict.FAILED if finish.give_up(job, reason, dead_lettered=True) else Verdict.DROPPED
