"""The state of tasks: waiting, running or paused, and what their last run does."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from leaseway import clock, cursors
from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.query import Query
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import job_from_item
from leaseway.settings import settings
from leaseway.tasks.model import LISTED, Task, task_from_item
from leaseway.tasks.slots import read_run, read_task


class State(StrEnum):
    """The current state of a task."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A task with its last run."""

    task: Task
    last: Job | None
    at: int

    @property
    def state(self) -> State:
        """RUNNING while a worker has its last run, even if it was paused since."""
        if self.last is not None and self.last.status is JobStatus.RUNNING:
            return State.RUNNING
        return State.WAITING if self.task.enabled else State.PAUSED

    @property
    def next_run(self) -> int | None:
        """The slot to come, also if its run was created ahead; None while the task is paused."""
        settled, following = self.task.last_slot or 0, self.task.next_run
        is_ahead = 0 < settled - self.at <= settings().schedule_ahead_seconds * 1000
        return settled if following is not None and is_ahead else following

    @property
    def running_seconds(self) -> float | None:
        """How long the worker has been running it; None while it is not running."""
        if self.state is not State.RUNNING or self.last is None or self.last.started_at is None:
            return None
        return max(0, self.at - self.last.started_at) / 1000

    def hide_run_from(self, owner: str | None) -> "Standing":
        """Return what `owner` may see: every definition, and the runs of the owner's own tasks; None sees all runs."""
        return self if owner in (None, self.task.owner) else msgspec.structs.replace(self, last=None)


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; `cursor` leads on and is None at the end."""

    content: list[Standing]
    cursor: str | None


class _TaskPlace(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds: the task to continue after."""

    name: str
    id: str


_BOUND_TO = ("tasks",)


def page_of_tasks(*, owner: str | None, size: int = 50, cursor: str | None = None) -> TaskPage:
    """A page of all tasks by name: one query, one read of the tasks and one of their last runs.

    Whose runs are shown is as with `standing_of`.

    Raises:
        InvalidInputError: the size is out of bounds.
        InvalidCursorError: the cursor belongs to another list.
    """
    cursors.require_page_size(size)
    after = cursors.read(cursor, _BOUND_TO, _TaskPlace) if cursor is not None else None
    keys = _keys(size + 1, after)
    page = keys[:size]
    content = [standing.hide_run_from(owner) for standing in _standings([key.id for key in page])]
    return TaskPage(content=content, cursor=cursors.sign(page[-1], _BOUND_TO) if len(keys) > size else None)


def all_tasks() -> list[Task]:
    """Every task by name, without its runs. A query per MB of keys and a read per hundred tasks."""
    ids = [key.id for key in _keys()]
    tasks = _tasks(ids)
    return [tasks[task_id] for task_id in ids if task_id in tasks]


def standing_of(task_id: str, *, owner: str | None) -> Standing:
    """One task, with its last run if the task is the owner's; None sees every run. Two consistent reads.

    Raises:
        TaskNotFoundError: there is none.
    """
    return with_last_run(read_task(task_id)).hide_run_from(owner)


def with_last_run(task: Task) -> Standing:
    """A task with its last run. One consistent read."""
    return Standing(task=task, last=read_run(task.last_job_id), at=clock.now_ms())


def _keys(count: int | None = None, after: _TaskPlace | None = None) -> list[_TaskPlace]:
    start = {"id": {"S": after.id}, "list_key": {"S": LISTED}, "name": {"S": after.name}} if after else None
    items = Query(table="tasks_table", index="listed", key=("list_key", LISTED)).items(start=start, limit=count)
    return [_TaskPlace(item["name"]["S"], item["id"]["S"]) for item in items]


def _tasks(ids: Sequence[str]) -> dict[str, Task]:
    return {item["id"]["S"]: task_from_item(item) for item in read_items("tasks_table", ids)}


def _standings(ids: Sequence[str]) -> list[Standing]:
    tasks = _tasks(ids)
    run_ids = [task.last_job_id for task in tasks.values() if task.last_job_id]
    runs = {item["id"]["S"]: job_from_item(item) for item in read_items("jobs_table", run_ids)}
    now = clock.now_ms()
    in_order = (tasks[task_id] for task_id in ids if task_id in tasks)
    return [Standing(task=task, last=runs.get(task.last_job_id or ""), at=now) for task in in_order]
