"""Runs: the jobs of tasks, and when a new one may start beside the last."""

import zlib
from enum import StrEnum
from typing import NamedTuple

import msgspec

from leaseway.dynamodb.table import Part
from leaseway.jobs import content
from leaseway.jobs.create import build
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, model_from_job
from leaseway.jobs.transitions import plan_first_look
from leaseway.jobs.types import catalogue
from leaseway.tasks.model import Overlap, Task

_ENDED = tuple(status for status in JobStatus if status.is_terminal)


class Obstacle(StrEnum):
    """Why no run may start."""

    ALIVE = "alive"
    """The last run may still be going on, and the task does not overlap."""
    NO_QUEUE = "no queue"
    """The deployment has no queue for its jobs: the type was retired."""


class PlannedRun(NamedTuple):
    """A run that may start, and the parts of the transaction that starts it: its job first."""

    job: Job
    parts: list[Part]


def plan_run(task: Task, job_id: str, slot: int | None, last: Job | None, now: int) -> PlannedRun | Obstacle:
    """Plan a run for a slot or (None) by hand; `last` is the run that the task's `last_job_id` names."""
    if task.overlap is Overlap.SKIP and _may_be_alive(last, now):
        return Obstacle.ALIVE
    job = _new_run(task, job_id, slot, now)
    if not Queue.of(job).is_deployed:
        return Obstacle.NO_QUEUE
    body = content.Content(msgspec.json.encode(job.payload).decode(), None)
    start = JobModel.put_part(model_from_job(job, body), JobModel.id.does_not_exist())
    return PlannedRun(job, [start, *_end_last_run(task, last, now)])


def jitter_ms(task: Task, slot: int) -> int:
    """A delay from zero up to the task's jitter, always the same for a slot."""
    return zlib.crc32(f"{task.id}/{slot}".encode()) % (task.jitter_seconds * 1000 + 1)


def _may_be_alive(last: Job | None, now: int) -> bool:
    """Whether the last run may still be going on. A dead worker's run gets the time that a takeover needs."""
    if last is None or last.status.is_terminal or last.is_overdue(now):
        return False
    lease = get_lease(last)
    return lease is None or not _is_dead(lease, now)


def _is_dead(lease: Lease, now: int) -> bool:
    return lease.until <= now - TAKEOVER_GRACE_MS or lease.deadline <= now


def _new_run(task: Task, job_id: str, slot: int | None, now: int) -> Job:
    kind = catalogue().get(task.type)  # None if the type was removed
    start = now if slot is None else max(now, slot + jitter_ms(task, slot))
    within = task.start_within_seconds
    start_by = None if within is None else start + within * 1000
    look_at = plan_first_look(start)
    return build.new_job(
        task.owner,
        task.type,
        task.payload,
        build.Terms(task.ttl_ms, task.max_attempts, task.queue, kind.type_lease_ms if kind else None),
        created_at=now,
        id=job_id,
        task_id=task.id,
        slot=slot,
        run_after=start if start > now else None,
        start_by=start_by,
        look_at=look_at if start_by is None else min(look_at, start_by),
    )


def _end_last_run(task: Task, last: Job | None, now: int) -> list[Part]:
    """What must hold of the last run, or ends it, in the transaction that starts the next one."""
    if task.overlap is Overlap.ALLOW or task.last_job_id is None:
        return []
    if last is not None and last.is_overdue(now):
        return [finish.end_unstarted_part(last, now)]
    lease = get_lease(last) if last is not None else None
    if lease is not None and _is_dead(lease, now):
        return [finish.supersede_part(lease, now)]
    # The last run may be retried by hand at this moment: then this one must wait.
    still_over = JobModel.id.does_not_exist() | JobModel.status.is_in(*_ENDED)
    return [JobModel.check_part(task.last_job_id, still_over)]
