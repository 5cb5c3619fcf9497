"""Tasks in memory: a clock that stands until it is moved, and tasks with everything but what a test is about."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaseway import clock
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel
from leaseway.tasks import Definition, Task, create_task
from leaseway.tasks.history import Entry, page_of_history
from leaseway.tasks.runs import read_run
from leaseway.tasks.slots import read_task
from unit.tasks.watch import Watch

START = 1_767_225_600  # 2026-01-01T00:00:00Z, on a whole minute


@pytest.fixture
def watch(cloud: None) -> Iterator[Watch]:
    """The domain's clock, set to 2026 and moved by hand."""
    watch = Watch(START)
    with clock.fixed(lambda: watch.seconds):
        yield watch


@pytest.fixture
def make(watch: Watch) -> Callable[..., Task]:
    """Makes a task: five-minutely, a SLEEP, overlap and catch-up as they are by default."""
    made = 0

    def make(**options: Any) -> Task:
        nonlocal made
        made += 1
        given: dict[str, Any] = {"name": f"task-{made}", "type": "SLEEP", "payload": {"duration_ms": 1}}
        if "cron" not in options:
            given["every"] = "5m"
        return create_task("ann", Definition(**given | options))

    return make


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
