"""`leaseway top`: the console's overview, in the terminal."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from leaseway_local.commands.api_access import call_api
from leaseway_local.commands.options import TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data
from leaseway_local.terminal.tables import STATUS_STYLE, format_time, job_table

_ENDED = ("COMPLETED", "FAILED", "CANCELLED")
_LATEST = 5


@dataclass(frozen=True)
class Look:
    """What the API said at one moment. `at` is monotonic, in seconds; `ended` is how many jobs have ended so far."""

    at: float
    overview: dict[str, Any]
    running: list[dict[str, Any]]
    failed: list[dict[str, Any]]

    @property
    def ended(self) -> int:
        """Jobs that have reached an end."""
        return sum(self.overview["jobs"][status] for status in _ENDED)


def top(
    owner: Annotated[str | None, typer.Option(help="For an Admin: only this owner's jobs.")] = None,
    seconds: Annotated[float, typer.Option(help="Time between two looks.", min=0.2)] = 2.0,
    looks: Annotated[int, typer.Option(help="End after so many looks; 0 goes on until Ctrl-C.", min=0)] = 0,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Show what jobs do, live: counts, throughput, what runs and what failed last. Ctrl-C ends it."""
    with call_api(target) as api, Live(console=data, auto_refresh=False) as live:
        admin = api.get("/api/v1/me")["role"] == "Admin"
        before: Look | None = None
        for seen in _looks(api, owner or ("*" if admin else None), seconds, looks):
            live.update(_screen(seen, before), refresh=True)
            before = seen


def _looks(api: ApiClient, owner: str | None, seconds: float, looks: int) -> Iterator[Look]:
    done = 0
    while not looks or done < looks:
        if done:
            time.sleep(seconds)
        yield Look(
            time.monotonic(),
            api.get("/api/v1/overview", owner=owner),
            _jobs(api, "RUNNING", owner),
            _jobs(api, "FAILED", owner),
        )
        done += 1


def _jobs(api: ApiClient, status: str, owner: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/api/v1/jobs", status=status, owner=owner, size=_LATEST)["content"]
    return found


def _screen(seen: Look, before: Look | None) -> Group:
    whose = seen.overview["owner"] or "everybody's jobs"
    head = Text(f"{format_time(seen.overview['at'])}   {whose}   {_rate(seen, before)}", "bold")
    parts: list[RenderableType] = [head, _by_type(seen.overview)]
    for title, jobs in (("Running", seen.running), ("Failed last", seen.failed)):
        if jobs:
            parts += [Text(title, "bold"), job_table(jobs, results=True)]
    return Group(*parts)


def _rate(seen: Look, before: Look | None) -> str:
    if before is None:
        return ""
    return f"{max(0, seen.ended - before.ended) / (seen.at - before.at):,.1f} jobs ended a second"


def _by_type(overview: dict[str, Any]) -> Table:
    statuses = list(overview["jobs"])
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_footer=True)
    table.add_column("type", footer="all")
    for status in statuses:
        style = STATUS_STYLE.get(status, "")
        table.add_column(Text(status, style), justify="right", footer=f"{overview['jobs'][status]:,}")
    for counted in overview["types"]:
        table.add_row(counted["type"], *(f"{counted['jobs'][status]:,}" for status in statuses))
    return table
