"""`leaseway tasks`: define, run, pause and watch recurring tasks."""

import itertools
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from leaseway_local.answers import (
    HistoryPageAnswer,
    StartedRunAnswer,
    TaskAnswer,
    TaskPageAnswer,
    TaskSummaryAnswer,
)
from leaseway_local.commands.api_access import call_api
from leaseway_local.commands.jobs import json_object
from leaseway_local.commands.options import CursorOption, JsonOption, PollCountOption, PollSecondsOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.connection.pages import read_pages
from leaseway_local.demo.samples import SECONDS, install, samples
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import data, print_json
from leaseway_local.terminal.tables import format_more
from leaseway_local.terminal.task_tables import history_table, task_table, worker_table

app = typer.Typer(no_args_is_help=True, help="Define, run, pause and watch recurring tasks.")

_id = re.compile("[0-9a-f]{32}")

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="The task's name or id.", show_default=False)]


@app.command("list")
def list_tasks(target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """List tasks by name, with their state, next slot and last run."""
    with call_api(target, as_json=as_json) as api:
        tasks = list(_list_all(api))
    if as_json:
        print_json(tasks)
    else:
        data.print(task_table(tasks))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The task's name, which must be unique.", show_default=False)],
    type_name: Annotated[str, typer.Argument(metavar="TYPE", help="The job type of its runs.", show_default=False)],
    payload: Annotated[
        dict[str, Any], typer.Option(parser=json_object, metavar="JSON", help="The payload, as the type defines it.")
    ] = "{}",  # type: ignore[assignment]
    cron: Annotated[
        str | None, typer.Option(help="A cron expression with five fields, such as '30 4 * * 1-5'.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="An interval instead of a cron expression, such as 90s, 5m or 2h.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="The time zone of the cron expression, such as Europe/Berlin.")
    ] = None,
    ttl_ms: Annotated[int | None, typer.Option(help="Time to live of each attempt of a run, in milliseconds.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts before a run becomes FAILED.")] = None,
    overlap: Annotated[
        str | None, typer.Option(help="What to do if the previous run has not ended: skip, or allow both.")
    ] = None,
    catch_up: Annotated[str | None, typer.Option(help="Which missed slots to make up for: latest or none.")] = None,
    jitter_seconds: Annotated[int | None, typer.Option(help="Delay each run by a random time up to this.")] = None,
    start_within_seconds: Annotated[
        int | None, typer.Option(help="Cancel a run that no worker has claimed this long after its time.")
    ] = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Define a task, with either --cron or --every."""
    options = {"cron": cron, "every": every, "timezone": timezone, "ttl_ms": ttl_ms, "max_attempts": max_attempts}
    options |= {"overlap": overlap, "catch_up": catch_up, "jitter_seconds": jitter_seconds}
    options |= {"start_within_seconds": start_within_seconds}
    definition: dict[str, Any] = {"name": name, "type": type_name, "payload": payload}
    definition |= {option: value for option, value in options.items() if value is not None}
    with call_api(target, as_json=as_json) as api:
        _print_task(api.post("/api/tasks", definition, TaskAnswer), as_json)


@app.command()
def run(task: TaskName, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Run a task now. Its schedule does not change."""
    with call_api(target, as_json=as_json) as api:
        started = api.post_once(f"/api/tasks/{_find_id(api, task)}/run", None, StartedRunAnswer)
    if as_json:
        print_json(started)
    else:
        data.print(f"started job {started['job_id']}")


@app.command()
def pause(task: TaskName, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Pause a task's schedule until it is resumed. A run in progress continues."""
    _switch(task, target, enabled=False, as_json=as_json)


@app.command()
def resume(task: TaskName, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Resume a task's schedule, from its next slot on."""
    _switch(task, target, enabled=True, as_json=as_json)


@app.command()
def history(
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="The task's name or id; all tasks by default.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only entries with this status, such as FAILED, SKIPPED or MISSED.")
    ] = None,
    size: Annotated[int, typer.Option(help="Entries per page, up to 100.")] = 20,
    cursor: CursorOption = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Show runs, skipped slots and periods of missed slots, newest first."""
    with call_api(target, as_json=as_json) as api:
        path = f"/api/tasks/{_find_id(api, task)}/history" if task else "/api/tasks/history"
        page = api.get(path, HistoryPageAnswer, status=status, size=size, cursor=cursor)
    if as_json:
        print_json(page)
        return
    data.print(history_table(page["content"]))
    if page["cursor"]:
        data.print(format_more(page))


@app.command()
def watch(
    seconds: PollSecondsOption = 2.0,
    looks: PollCountOption = 0,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Show tasks, their runs and the workers, live. Ctrl-C ends it."""
    with call_api(target) as api, Live(console=data, auto_refresh=False) as live:
        for poll in itertools.count(1):
            live.update(_dashboard(api), refresh=True)
            if poll == looks:
                return
            time.sleep(seconds)


@app.command()
def seed(
    seconds: Annotated[
        int, typer.Option(help="How many seconds each run takes.", min=1, max=600, envvar="LEASEWAY_SAMPLE_SECONDS")
    ] = SECONDS,
    url: Annotated[str, typer.Option(help="The page that the task check-pages requests.")] = "https://example.com/",
    target: TargetOption = Target.LOCAL,
) -> None:
    """Define six sample tasks. Existing ones are not changed."""
    with call_api(target) as api:
        for name, is_new in install(api, samples(seconds, url)):
            data.print(f"{'defined' if is_new else 'there already':>14}  {name}")


def _switch(task: str, target: Target, *, enabled: bool, as_json: bool) -> None:
    with call_api(target, as_json=as_json) as api:
        _print_task(api.patch(f"/api/tasks/{_find_id(api, task)}", {"enabled": enabled}, TaskAnswer), as_json)


def _list_all(api: ApiClient) -> Iterator[TaskAnswer]:
    for page in read_pages(api, "/api/tasks", TaskPageAnswer, {"size": 100}):
        yield from page["content"]


def _find_id(api: ApiClient, task: str) -> str:
    """Return the id of the task with this name; a text that looks like an id is returned unchanged.

    Raises:
        LocalCloudError: there is no such task.
    """
    if _id.fullmatch(task):
        return task
    for listed_task in _list_all(api):
        if listed_task["name"] == task:
            return listed_task["id"]
    raise LocalCloudError(f"there is no task {task!r}.", "`leaseway tasks list` shows those there are.")


def _print_task(task: TaskAnswer, as_json: bool) -> None:
    if as_json:
        print_json(task)
    else:
        data.print(task_table([task]))


def _dashboard(api: ApiClient) -> Group:
    summary = api.get("/api/tasks/stats/summary", TaskSummaryAnswer)
    overall = summary["overall"]
    line = (
        f"{overall['runs']} runs: {overall['successes']} completed, {overall['failures']} failed,"
        f" {overall['cancelled']} cancelled, {overall['running']} running;"
        f" {overall['missed']} slots missed, {overall['skipped']} skipped"
    )
    return Group(task_table(list(_list_all(api))), worker_table(summary), Text(line, style="dim"))
