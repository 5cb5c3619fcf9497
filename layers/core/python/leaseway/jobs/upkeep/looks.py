"""Looks: what the sweeper does about a live job that is due one, judged without any write.

RUNNING   its lease ended                    send it again: its worker died
          a worker without a message         look again when its lease ends: nothing else brings the job back
            that held it until its deadline  cancel it
          a worker with a message            look again after its deadline: the worker ends it or the message brings it
CREATED   its age admits no attempt          cancel it
          no worker claimed it in time       cancel it
          its turn is over 15 minutes ahead  look again 7.5 minutes before
          its turn is closer                 send its first message, delayed until then
          it has no message                  send it
          its queue is deep                  leave it: its message is one of those that wait
          otherwise                          send it again, after waits that double up to `LOOK_CAP_SECONDS`
"""

import math
from collections.abc import Callable

import msgspec

from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.transitions import plan_first_look
from leaseway.settings import settings


class Look(msgspec.Struct, frozen=True):
    """A live job that is due a look, as the table has it."""

    job: Job
    due_at: int
    """When its look was due (ms), as the index says."""
    timed: bool
    """Whether only the sweeper brings it on; see `leaseway.jobs.table.live_key`."""


class Postponement(msgspec.Struct, frozen=True):
    """Look at the job again at `look_at` (ms); before that, bring it to a worker by a message if `send` says so."""

    look_at: int
    timed: bool = False
    send: bool = False


class Expiry(msgspec.Struct, frozen=True):
    """Cancel the job: a worker without a message held it until its deadline."""

    lease: Lease


class Withdrawal(msgspec.Struct, frozen=True):
    """Cancel the job: its age admits no attempt, or no worker has claimed it in time."""

    job: Job


Judgement = Postponement | Expiry | Withdrawal


def judge(look: Look, now: int, is_deep: Callable[[Queue], bool]) -> Judgement | None:
    """Judge what to do about a job at `now` (ms); None to leave it as it is. No call, except those of `is_deep`."""
    lease = get_lease(look.job)
    if lease is not None:
        return _judge_running(lease, now)
    if look.job.is_too_old(now) or look.job.is_overdue(now):
        return Withdrawal(look.job)
    if look.job.run_after is not None and look.job.run_after > now:
        return _judge_delayed(look.job, look.job.run_after, now)
    return _judge_waiting(look, now, is_deep)


def is_urgent(look: Look, now: int) -> bool:
    """Whether a look must come on time: not that at a job which has a message and waits for a worker."""
    has_to_start = look.timed or look.job.is_overdue(now)
    return has_to_start or get_lease(look.job) is not None or (look.job.run_after or 0) > now


def _judge_running(lease: Lease, now: int) -> Judgement:
    lease_looked_after = lease.until + TAKEOVER_GRACE_MS
    if lease.has_expired(now):
        return Expiry(lease)
    # An attempt that was not held until its deadline uses up none of the next one's time.
    latest = lease.deadline if lease.deadline > now and not lease.is_unconfirmed else math.inf
    if lease_looked_after <= now:
        # However deep its queue is: it may have no message, and there are no more such jobs than there were workers.
        return Postponement(int(min(latest, now + _wait(lease.until, now))), timed=True, send=True)
    if lease.job.message_id is not None and lease.deadline > now:
        return Postponement(lease.deadline + TAKEOVER_GRACE_MS, timed=True)
    return Postponement(int(min(latest, lease_looked_after)), timed=True)


def _judge_delayed(job: Job, run_after: int, now: int) -> Judgement:
    look_at = plan_first_look(run_after)
    if run_after - now > queue.LONGEST_DELAY_SECONDS * 1000:
        return Postponement(look_at, timed=True)
    return Postponement(look_at, send=not Queue.of(job).keeps_order or _is_unsent(job))


def _judge_waiting(look: Look, now: int, is_deep: Callable[[Queue], bool]) -> Judgement | None:
    waits_since = max(look.job.updated_at, look.job.run_after or 0)
    wait = _wait(waits_since, now)
    is_at_the_cap = wait == settings().look_cap_seconds * 1000
    if not look.timed and not is_at_the_cap and is_deep(Queue.of(look.job)):
        return None
    limits = (look.job.start_before, look.job.start_by)
    latest = min((limit for limit in limits if limit is not None and limit > now), default=math.inf)
    return Postponement(int(min(latest, now + wait)), send=True)


def _wait(since: int, now: int) -> int:
    """Milliseconds until the next look at a job that has waited since then."""
    return min(settings().look_cap_seconds * 1000, max(settings().first_look_seconds * 1000, now - since))


def _is_unsent(job: Job) -> bool:
    """Whether no attempt was made since the job was created or retried by hand, so that no worker hides its message."""
    return job.attempts == (job.attempts_before or 0)
