"""Recurring tasks: define them, run them, list what they did. Every user can read; Admins define and run."""

import msgspec
from chalice.app import Blueprint
from msgspec import UNSET

from api.fields import plain_text
from api.routes import Answer, Call, Operation, operation
from api.task_requests import TASK_PATH, HistoryFilter, NewTask, TaskChange, TaskWindow, parse_task_id
from api.task_views import (
    EntryPageView,
    RunView,
    SummaryView,
    TaskPageView,
    TaskView,
    history_view,
    new_task_view,
    run_view,
    summary_view,
    task_view,
    tasks_view,
)
from leaseway.cursors import InvalidCursorError
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.jobs import TtlTooLongError, UnknownJobTypeError
from leaseway.tally.task_summary import read_summary
from leaseway.tasks import (
    AlreadyRunningError,
    Definition,
    InvalidScheduleError,
    TaskExistsError,
    TaskNotFoundError,
    change_task,
    create_task,
    delete_task,
    start_now,
)
from leaseway.tasks.history import page_of_history
from leaseway.tasks.keyed_run import start_now_once
from leaseway.tasks.overview import page_of_tasks, standing_of, with_last_run
from leaseway.tasks.slots import read_task

tasks = Blueprint(__name__)

_TAG = "Tasks"

_REFUSED = (InvalidScheduleError, UnknownJobTypeError, TtlTooLongError, UnavailableError)


@operation(
    tasks,
    Operation(
        method="POST",
        path="/api/tasks",
        tag=_TAG,
        summary="Define a task",
        status=201,
        location=True,
        body=NewTask,
        answer=TaskView,
        errors=(TaskExistsError, *_REFUSED),
        example={"name": "warm-up", "every": "5m", "type": "SLEEP", "payload": {"duration_ms": 500}},
    ),
)
def define(call: Call[NewTask, None]) -> Answer:
    """The first run is at the next slot of the schedule. The payload is checked against its type's schema first.

    When clocks change, a cron expression follows the rules of Debian's cron: a fixed time that is skipped runs right
    after the gap, one that occurs twice runs once, and expressions with `*` as minute or hour follow elapsed time.
    """
    plain_text(call.body.name, "name")
    task = create_task(call.caller.subject, Definition(**msgspec.structs.asdict(call.body)))
    return Answer(new_task_view(task), {"location": f"tasks/{task.id}"})


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks",
        tag=_TAG,
        summary="List tasks",
        query=TaskWindow,
        answer=TaskPageView,
        errors=(InvalidCursorError, UnavailableError),
    ),
)
def list_tasks(call: Call[None, TaskWindow]) -> TaskPageView:
    """All tasks by name, each with its state, its next slot, and its last run or the one in progress.

    A User can read every definition, but only the runs of their own tasks.
    """
    return tasks_view(page_of_tasks(owner=call.caller.sees_owner, size=call.query.size, cursor=call.query.cursor))


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/{id}",
        path_parameters=TASK_PATH,
        tag=_TAG,
        summary="Read a task",
        answer=TaskView,
        errors=(TaskNotFoundError,),
    ),
)
def show_task(call: Call[None, None]) -> TaskView:
    """The task with its current state. A User can read every definition, but only the runs of their own tasks."""
    return task_view(standing_of(parse_task_id(call.path["id"]), owner=call.caller.sees_owner))


@operation(
    tasks,
    Operation(
        method="PATCH",
        path="/api/tasks/{id}",
        path_parameters=TASK_PATH,
        tag=_TAG,
        summary="Change, pause or resume a task",
        body=TaskChange,
        answer=TaskView,
        errors=(TaskNotFoundError, *_REFUSED),
        example={"enabled": False},
    ),
)
def change(call: Call[TaskChange, None]) -> TaskView:
    """A run in progress is not affected.

    A new schedule, or `"enabled": true`, takes effect from now on. Earlier slots are not made up for.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not UNSET}
    return task_view(with_last_run(change_task(parse_task_id(call.path["id"]), changes)))


@operation(
    tasks,
    Operation(
        method="DELETE",
        path="/api/tasks/{id}",
        path_parameters=TASK_PATH,
        tag=_TAG,
        summary="Delete a task",
        answer=TaskView,
        errors=(TaskNotFoundError, UnavailableError),
    ),
)
def delete(call: Call[None, None]) -> TaskView:
    """Returns the deleted task. A run in progress continues, and the history of all tasks keeps the task's entries."""
    return task_view(with_last_run(delete_task(parse_task_id(call.path["id"]))))


@operation(
    tasks,
    Operation(
        method="POST",
        path="/api/tasks/{id}/run",
        path_parameters=TASK_PATH,
        tag=_TAG,
        summary="Run a task now",
        status=202,
        location=True,
        answer=RunView,
        keyed=True,
        errors=(TaskNotFoundError, AlreadyRunningError, UnavailableError, OutcomeUnknownError),
    ),
)
def run_task(call: Call[None, None]) -> Answer:
    """Works for paused tasks too, and does not change the schedule. With `skip`, 409 if the last run has not ended."""
    task_id = parse_task_id(call.path["id"])
    job = start_now(task_id) if call.key is None else start_now_once(task_id, call.key)
    return Answer(run_view(job), {"location": f"../../v1/jobs/{job.id}"})


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/history",
        tag=_TAG,
        summary="List the history of all tasks",
        query=HistoryFilter,
        answer=EntryPageView,
        errors=(InvalidCursorError, UnavailableError),
    ),
)
def list_history(call: Call[None, HistoryFilter]) -> EntryPageView:
    """Every run, skipped slot and period of missed slots, newest first."""
    query = call.query
    return history_view(page_of_history(None, status=query.status, size=query.size, cursor=query.cursor))


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/{id}/history",
        path_parameters=TASK_PATH,
        tag=_TAG,
        summary="List the history of a task",
        query=HistoryFilter,
        answer=EntryPageView,
        errors=(TaskNotFoundError, InvalidCursorError, UnavailableError),
    ),
)
def list_task_history(call: Call[None, HistoryFilter]) -> EntryPageView:
    """The task's runs, skipped slots and periods of missed slots, newest first."""
    query, task = call.query, read_task(parse_task_id(call.path["id"]))
    return history_view(page_of_history(task.id, status=query.status, size=query.size, cursor=query.cursor))


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/stats/summary",
        tag=_TAG,
        summary="Statistics of all tasks",
        answer=SummaryView,
        errors=(UnavailableError,),
    ),
)
def show_summary(call: Call[None, None]) -> SummaryView:
    """Runs by outcome and their durations, by task and by worker, read from counters.

    A 95th percentile is accurate to a tenth of its value.
    """
    return summary_view(read_summary())
