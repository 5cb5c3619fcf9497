"""Runs: the jobs of tasks, and when a new one may start beside the last."""

import zlib
from enum import StrEnum

import msgspec

from leaseway.dynamodb.table import Part
from leaseway.jobs import content
from leaseway.jobs.create import build
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item, model_from_job
from leaseway.jobs.transitions import plan_first_look
from leaseway.tasks.model import Overlap, Task

_ENDED = tuple(status for status in JobStatus if status.is_terminal)


class LastRun(StrEnum):
    """What the last run means for the next one."""

    OVER = "over"
    ALIVE = "alive"
    DEAD = "dead"


def judge_last_run(last: Job | None, now: int) -> LastRun:
    """Whether the last run may still be going on. A dead worker's run gets the time that a takeover needs."""
    if last is None or last.status.is_terminal:
        return LastRun.OVER
    lease = get_lease(last)
    return LastRun.DEAD if lease is not None and _is_dead(lease, now) else LastRun.ALIVE


def _is_dead(lease: Lease, now: int) -> bool:
    return lease.until <= now - TAKEOVER_GRACE_MS or lease.deadline <= now


def read_run(job_id: str | None) -> Job | None:
    """A run by its id, as it is stored; None if it does not exist (any longer). One consistent read."""
    item = JobModel.read(job_id) if job_id else None
    return job_from_item(item) if item is not None else None


def new_run(task: Task, job_id: str, slot: int | None, now: int) -> Job:
    """A run of the task, for a slot or (None) by hand. Nothing is written."""
    terms = build.Terms(task.ttl_ms, task.max_attempts, task.queue)
    start = now if slot is None else max(now, slot + jitter_ms(task, slot))
    return build.new_job(
        task.owner,
        task.type,
        task.payload,
        terms,
        created_at=now,
        id=job_id,
        task_id=task.id,
        slot=slot,
        run_after=start if start > now else None,
        look_at=plan_first_look(start),
    )


def start_run(task: Task, job: Job, last: Job | None, now: int) -> list[Part]:
    """The parts of a transaction that start a run: its job first, then what must hold of the last run."""
    body = content.Content(msgspec.json.encode(job.payload).decode(), None)
    start = JobModel.put_part(model_from_job(job, body), JobModel.id.does_not_exist())
    if task.overlap is Overlap.ALLOW or task.last_job_id is None:
        return [start]
    lease = get_lease(last) if last is not None else None
    if lease is not None and _is_dead(lease, now):
        return [start, finish.supersede_part(lease, now)]
    # The last run may be retried by hand at this moment: then this one must wait.
    still_over = JobModel.id.does_not_exist() | JobModel.status.is_in(*_ENDED)
    return [start, JobModel.check_part(task.last_job_id, still_over)]


def jitter_ms(task: Task, slot: int) -> int:
    """A delay from zero up to the task's jitter, always the same for a slot."""
    return zlib.crc32(f"{task.id}/{slot}".encode()) % (task.jitter_seconds * 1000 + 1)
