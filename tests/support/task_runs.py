"""What became of a task: its runs, its history, and the jobs it created."""

from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel
from leaseway.tasks import Task
from leaseway.tasks.history import Entry, page_of_history
from leaseway.tasks.slots import read_run, read_task


def again(task: Task) -> Task:
    return read_task(task.id)


def last_run(task: Task) -> Job:
    job = read_run(again(task).last_job_id)
    assert job is not None
    return job


def all_runs(task: Task) -> list[Job]:
    return [entry.job for entry in entries(task) if entry.job]


def entries(task: Task) -> list[Entry]:
    return page_of_history(task.id, size=100).content


def jobs_in_the_table() -> int:
    return sum(1 for _ in JobModel.scan())
