"""Runs that were created ahead of their slot, so that they start on time, and how one is taken back until then.

    tick 08:58:40 --{task: next_run 09:00 -> 09:05; job, not before 09:00}-->  its message is visible at 09:00
    pause 08:59:10 --{task: paused; job removed}---------------------------->  nothing runs at 09:00
    worker 09:00:00 --claim--> RUNNING      pause: the removal is refused, so read again; the run goes on

A run that was taken back leaves no trace: its slot has not come yet, and is settled again if the task still has it.
"""

import msgspec

from leaseway.dynamodb.table import Part
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.tasks import history
from leaseway.tasks.model import Task, slot_job_id


def find_pending(task: Task, now: int) -> Job | None:
    """The run of a slot that has not come yet, if it is still to start. One consistent read if there can be one."""
    if task.last_slot is None or task.last_slot <= now:
        return None
    item = JobModel.read(slot_job_id(task.id, task.last_slot))
    job = job_from_item(item) if item is not None else None
    if job is None or job.status is not JobStatus.CREATED or job.fence > 0:
        return None
    return job if job.run_after is not None else None  # without one it was due already, and the clock went back since


def take_back(task: Task, pending: Job, now: int) -> Task:
    """The task as if the slot of `pending` had not been settled. Nothing is written."""
    before = task.run_before if task.last_job_id == pending.id else task.last_job_id
    return msgspec.structs.replace(task, last_job_id=before, run_before=None, last_slot=now, next_run=pending.slot)


def remove_parts(pending: Job) -> list[Part]:
    """The parts of a transaction that remove a run, if it is still to start, and its entry in the history."""
    still_to_start = (JobModel.status == JobStatus.CREATED) & (JobModel.fence == 0)
    return [JobModel.remove_part(pending.id, still_to_start), history.remove_run(pending)]
