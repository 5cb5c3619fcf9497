"""Recurring tasks: define them, run them now, see what they did. Everybody reads; Admins define and run."""

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
    """Its first run is at the first slot from now on. The payload is checked against its type's schema first.

    Where clocks change, a cron expression does as Debian's cron: a fixed time that is left out runs right after the
    gap, one that comes twice runs once, and expressions with `*` for minute or hour follow elapsed time.
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

    A User reads every definition, and the runs of his own tasks only.
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
    """The task as it stands. A User reads every definition, and the runs of his own tasks only."""
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
    """A run in progress goes on as it was started.

    Another schedule, and `"enabled": true`, take effect from now on: nothing is made up for the time before.
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
    """Answers what it was. A run in progress goes on; the history of all tasks keeps what there is of it."""
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
    """Also while it is paused; its schedule goes on as before. Under `skip`, 409 while its last run has not ended."""
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
    """Every run, every skipped slot and every missed stretch, newest first."""
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
    """Its runs, skipped slots and missed stretches, newest first."""
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
    """Runs by outcome and their durations, by task and by worker. Read from counters: the same effort for any number.

    A 95th percentile is within a tenth of the true one.
    """
    return summary_view(read_summary())
