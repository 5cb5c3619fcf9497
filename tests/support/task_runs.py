"""A task after a tick: its runs, its history, and the jobs it created."""

from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel
from leaseway.tasks import Task
from leaseway.tasks.history import HistoryEntry, page_of_history
from leaseway.tasks.slots import read_run, read_task


def reload_task(task: Task) -> Task:
    return read_task(task.id)


def read_last_run(task: Task) -> Job:
    job = read_run(reload_task(task).last_job_id)
    assert job is not None
    return job


def read_runs(task: Task) -> list[Job]:
    return [entry.job for entry in read_history(task) if entry.job]


def read_history(task: Task) -> list[HistoryEntry]:
    return page_of_history(task.id, size=100).content


def count_jobs() -> int:
    return sum(1 for _ in JobModel.scan())
