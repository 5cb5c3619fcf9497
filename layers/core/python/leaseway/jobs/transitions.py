"""The state machine of a job. Only this module writes a job's status.

                                             RUNNING, lease ended --take over--> RUNNING (crashes + 1)
                                                |
    created --> CREATED --------claim-------> RUNNING --result in time----------------> COMPLETED
                 ^ ^ |                         | | |
                 | | |  <--error, attempts left--' | |--error, none left; crashed too often--> FAILED
                 | | |  <--given back by its worker' '--deadline passed, cancelled--> CANCELLED
                 | | |
                 | | '--cancelled--> CANCELLED
                 | '-----judged a dead letter--> FAILED
                 '--retried by hand-- FAILED, CANCELLED

Each function returns the actions of one arrow. The caller adds what is special to it, and chooses the condition under
which the write is granted.
"""

from typing import NamedTuple

from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.jobs import queue
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.progress import clear_progress
from leaseway.jobs.table import (
    JobModel,
    end_key,
    end_shard,
    live_key,
    outcome_key,
    owner_outcome_key,
    precedes_message,
)
from leaseway.settings import settings

_DAY_SECONDS = 86_400

# What an end leaves on a job and a retry removes.
_MARKS_OF_AN_END = (
    JobModel.outcome_key,
    JobModel.owner_outcome_key,
    JobModel.finished_at,
    JobModel.claim_token,
    JobModel.dead_lettered_at,
    JobModel.cancelled_by,
    JobModel.start_by,
    JobModel.dead_letter_key,
    JobModel.ended_shard,
    JobModel.ended_key,
    JobModel.expires_at,
)

# What a claim leaves on a job, and the end of its attempt removes.
_TERMS_OF_A_LEASE = (JobModel.lease_until, JobModel.message_id, JobModel.lease_ms, JobModel.is_unconfirmed)


class LeaseTerms(NamedTuple):
    """On what terms a worker gets a lease."""

    message_id: str | None = None
    """The message that it keeps hidden."""
    lease_ms: int | None = None
    """The length of the lease, and of each extension; None for that of the job's type, or else `LEASE_SECONDS`."""
    is_unconfirmed: bool = False
    """Whether its first heartbeat shows that it knows of the lease at all."""
    counts_attempt: bool = True


def to_running(worker: str, token: str, now: int, terms: LeaseTerms) -> list[Action]:
    """Start an attempt under a new lease. The caller adds the deadline."""
    type_lease_ms = JobModel.type_lease_ms | settings().lease_seconds * 1000
    return [
        JobModel.status.set(JobStatus.RUNNING),
        JobModel.worker.set(worker),
        JobModel.started_at.set(now),
        JobModel.updated_at.set(now),
        JobModel.lease_until.set(type_lease_ms + now if terms.lease_ms is None else terms.lease_ms + now),
        JobModel.claim_token.set(token),
        JobModel.message_id.remove() if terms.message_id is None else JobModel.message_id.set(terms.message_id),
        JobModel.lease_ms.remove() if terms.lease_ms is None else JobModel.lease_ms.set(terms.lease_ms),
        JobModel.is_unconfirmed.set(True) if terms.is_unconfirmed else JobModel.is_unconfirmed.remove(),
        JobModel.attempts.add(int(terms.counts_attempt)),
        JobModel.fence.add(1),
        JobModel.version.add(1),
        JobModel.run_after.remove(),
        *clear_progress(),
    ]


def to_waiting(job_id: str, now: int, run_after: int | None = None) -> list[Action]:
    """Let a job wait for its next attempt, which starts at `run_after` (ms) at the earliest.

    The fence stays, so that what an earlier attempt still writes is refused.
    """
    look_at = plan_first_look(run_after or now)
    return [
        JobModel.status.set(JobStatus.CREATED),
        JobModel.updated_at.set(now),
        JobModel.version.add(1),
        JobModel.look_at.set(look_at),
        JobModel.live_key.set(live_key(job_id, timed=precedes_message(look_at, run_after))),
        *([JobModel.run_after.set(run_after)] if run_after else []),
        JobModel.deadline.remove(),
        *(term.remove() for term in _TERMS_OF_A_LEASE),
    ]


def to_another_life(job: Job, now: int, run_after: int | None = None) -> list[Action]:
    """Let an ended job wait again, with as many attempts as it was first granted and no crashes."""
    granted = job.max_attempts - (job.attempts_before or 0)
    return [
        *to_waiting(job.id, now, run_after),
        JobModel.max_attempts.set(job.attempts + granted),
        JobModel.attempts_before.set(job.attempts),
        JobModel.crashes.set(0),
        *_plan_expiry(job, run_after or now),
        *(mark.remove() for mark in _MARKS_OF_AN_END),
        *clear_progress(),
    ]


def _plan_expiry(job: Job, start: int) -> list[Action]:
    return [] if job.expires_after_ms is None else [JobModel.start_before.set(start + job.expires_after_ms)]


def to_ended(job: Job, status: JobStatus, now: int) -> list[Action]:
    """End a job: it leaves the live index, enters those of ended jobs, and expires after its retention."""
    retention_days = job.retention_days or settings().retention_days
    return [
        JobModel.status.set(status),
        JobModel.finished_at.set(now),
        JobModel.expires_at.set(clock.whole_seconds(now) + retention_days * _DAY_SECONDS),
        JobModel.updated_at.set(now),
        JobModel.version.add(1),
        JobModel.outcome_key.set(outcome_key(status, job.id)),
        JobModel.owner_outcome_key.set(owner_outcome_key(job.owner, status, job.id)),
        JobModel.live_key.remove(),
        JobModel.look_at.remove(),
        *(term.remove() for term in _TERMS_OF_A_LEASE),
        JobModel.run_after.remove(),
        *_enter_ended_index(job, now),
    ]


def _enter_ended_index(job: Job, now: int) -> list[Action]:
    if settings().ended_index == "false":
        return []
    return [JobModel.ended_shard.set(end_shard(job.id)), JobModel.ended_key.set(end_key(now, job.owner, job.id))]


def plan_first_look(run_after: int) -> int:
    """Plan when the sweeper first looks at a waiting job (ms): before it is due if SQS cannot delay it that long."""
    longest = queue.LONGEST_DELAY_SECONDS * 1000
    wait = run_after - clock.now_ms()
    return run_after + settings().first_look_seconds * 1000 if wait <= longest else run_after - longest // 2
