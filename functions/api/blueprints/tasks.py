"""Recurring tasks: define them, run them now, see what they did. Everybody reads; Admins define and run."""

import re
from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import UNSET, Meta, UnsetType

from api.requests import plain_text
from api.routes import Answer, Call, Operation, operation
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
    CatchUp,
    Definition,
    InvalidScheduleError,
    Overlap,
    TaskExistsError,
    TaskNotFoundError,
    change_task,
    create_task,
    delete_task,
    start_now,
)
from leaseway.tasks.definitions import LONGEST_JITTER_SECONDS
from leaseway.tasks.history import LARGEST_PAGE, STATUSES, page_of_history
from leaseway.tasks.overview import page_of_tasks, standing_of, with_last_run
from leaseway.tasks.slots import read_task

tasks = Blueprint(__name__)

_TAG = "Tasks"
_task_id = re.compile(r"[0-9a-f]{32}")

_Cron = Annotated[
    str,
    Meta(
        max_length=100,
        description="Five fields, as in a crontab: minute, hour, day, month, weekday. Give this or `every`",
        examples=["30 4 * * 1-5"],
    ),
]
_Every = Annotated[
    str, Meta(max_length=10, description="A number with s, m, h or d, from 60s to 31d. Give this or `cron`")
]
_Zone = Annotated[str, Meta(max_length=64, description="Where the cron expression is at home, as `Europe/Berlin`")]
_Type = Annotated[str, Meta(max_length=64, description="Type of the job that a run is")]
_Payload = Annotated[dict[str, Any], Meta(description="As the type wants it; at most 4 KB")]
_Ttl = Annotated[
    int,
    Meta(
        description="Time to live of a run's attempt in ms, by default 60000, at most 840000; 39600000 for a type whose"
        " workers are outside Lambda"
    ),
]
_Attempts = Annotated[int, Meta(description="Attempts of a run: 1 to 20, by default 3")]
_Enabled = Annotated[bool, Meta(description="false pauses it: it has no slots meanwhile, so none is missed")]
_Overlap = Annotated[
    Overlap, Meta(description="`skip`: a slot that comes during a run is skipped. `allow`: runs may overlap")
]
_CatchUp = Annotated[
    CatchUp, Meta(description="Slots that nobody saw in time: `latest` makes one run of them, `none` makes none")
]
_Jitter = Annotated[
    int,
    Meta(
        ge=0,
        le=LONGEST_JITTER_SECONDS,
        description="A run is delayed by up to so many seconds, each slot by its own",
    ),
]


class NewTask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A job to run again and again."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="No other task's", examples=["nightly-report"])]
    type: _Type
    payload: _Payload = msgspec.field(default_factory=dict)
    cron: _Cron | None = None
    every: _Every | None = None
    timezone: _Zone = "UTC"
    ttl_ms: _Ttl | None = None
    max_attempts: _Attempts | None = None
    enabled: _Enabled = True
    overlap: _Overlap = Overlap.SKIP
    catch_up: _CatchUp = CatchUp.LATEST
    jitter_seconds: _Jitter = 0


class TaskChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change; the rest stays. `cron` replaces `every`, and `every` replaces `cron`."""

    type: _Type | UnsetType = UNSET
    payload: _Payload | UnsetType = UNSET
    cron: _Cron | UnsetType = UNSET
    every: _Every | UnsetType = UNSET
    timezone: _Zone | UnsetType = UNSET
    ttl_ms: _Ttl | UnsetType = UNSET
    max_attempts: _Attempts | UnsetType = UNSET
    enabled: _Enabled | UnsetType = UNSET
    overlap: _Overlap | UnsetType = UNSET
    catch_up: _CatchUp | UnsetType = UNSET
    jitter_seconds: _Jitter | UnsetType = UNSET


class Window(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the list."""

    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Tasks a page")] = 50
    cursor: Annotated[str, Meta(description="Leads on from an earlier page")] | None = None


class HistoryFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which entries, and which part of the list."""

    status: (
        Annotated[
            str,
            Meta(
                description="Only runs in this status, or only SKIPPED or MISSED slots",
                extra_json_schema={"enum": list(STATUSES)},
            ),
        ]
        | None
    ) = None
    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Entries a page")] = 20
    cursor: Annotated[str, Meta(description="Leads on from an earlier page of the same list")] | None = None


def task_id(text: str) -> str:
    """A task's id from a path; what cannot be one is not looked up.

    Raises:
        TaskNotFoundError: not 32 hexadecimal digits.
    """
    if not _task_id.fullmatch(text):
        raise TaskNotFoundError
    return text


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
        query=Window,
        answer=TaskPageView,
        errors=(InvalidCursorError, UnavailableError),
    ),
)
def list_tasks(call: Call[None, Window]) -> TaskPageView:
    """All tasks by name, each with its state, its next slot, and its last run or the one in progress.

    A User reads every definition, and the runs of his own tasks only.
    """
    return tasks_view(page_of_tasks(owner=call.caller.sees_owner, size=call.query.size, cursor=call.query.cursor))


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/{id}",
        tag=_TAG,
        summary="Read a task",
        answer=TaskView,
        errors=(TaskNotFoundError,),
    ),
)
def show_task(call: Call[None, None]) -> TaskView:
    """The task as it stands. A User reads every definition, and the runs of his own tasks only."""
    return task_view(standing_of(task_id(call.path["id"]), owner=call.caller.sees_owner))


@operation(
    tasks,
    Operation(
        method="PATCH",
        path="/api/tasks/{id}",
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
    given = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not UNSET}
    return task_view(with_last_run(change_task(task_id(call.path["id"]), given)))


@operation(
    tasks,
    Operation(
        method="DELETE",
        path="/api/tasks/{id}",
        tag=_TAG,
        summary="Delete a task",
        answer=TaskView,
        errors=(TaskNotFoundError, UnavailableError),
    ),
)
def delete(call: Call[None, None]) -> TaskView:
    """Answers what it was. A run in progress goes on; the history of all tasks keeps what there is of it."""
    return task_view(with_last_run(delete_task(task_id(call.path["id"]))))


@operation(
    tasks,
    Operation(
        method="POST",
        path="/api/tasks/{id}/run",
        tag=_TAG,
        summary="Run a task now",
        status=202,
        location=True,
        answer=RunView,
        errors=(TaskNotFoundError, AlreadyRunningError, UnavailableError, OutcomeUnknownError),
    ),
)
def run_task(call: Call[None, None]) -> Answer:
    """Also while it is paused; its schedule goes on as before. Under `skip`, 409 while its last run has not ended."""
    job = start_now(task_id(call.path["id"]))
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
    wanted = call.query
    return history_view(page_of_history(None, status=wanted.status, size=wanted.size, cursor=wanted.cursor))


@operation(
    tasks,
    Operation(
        method="GET",
        path="/api/tasks/{id}/history",
        tag=_TAG,
        summary="List the history of a task",
        query=HistoryFilter,
        answer=EntryPageView,
        errors=(TaskNotFoundError, InvalidCursorError, UnavailableError),
    ),
)
def list_task_history(call: Call[None, HistoryFilter]) -> EntryPageView:
    """Its runs, skipped slots and missed stretches, newest first."""
    wanted, task = call.query, read_task(task_id(call.path["id"]))
    return history_view(page_of_history(task.id, status=wanted.status, size=wanted.size, cursor=wanted.cursor))


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
