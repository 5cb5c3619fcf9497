"""`leaseway top`: the console's overview, in the terminal."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from leaseway_local.answers import JobAnswer, JobPageAnswer, OverviewAnswer, StatusCountsAnswer, UserAnswer
from leaseway_local.commands.api_access import call_api
from leaseway_local.commands.options import PollCountOption, PollSecondsOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data
from leaseway_local.terminal.tables import STATUS_STYLE, format_time, job_table

_LATEST = 5
_STATUSES: Final = ("CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Snapshot:
    """The counts and latest jobs at one moment. `at` is monotonic, in seconds."""

    at: float
    overview: OverviewAnswer
    running: list[JobAnswer]
    failed: list[JobAnswer]

    def count_ended(self) -> int:
        """The number of jobs that have reached an end so far."""
        counts = self.overview["jobs"]
        return counts["COMPLETED"] + counts["FAILED"] + counts["CANCELLED"]


def top(
    owner: Annotated[str | None, typer.Option(help="For an Admin: only this owner's jobs.")] = None,
    seconds: PollSecondsOption = 2.0,
    looks: PollCountOption = 0,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Show jobs live: counts, throughput, running jobs and the latest failures. Ctrl-C ends it."""
    with call_api(target) as api, Live(console=data, auto_refresh=False) as live:
        is_admin = api.get("/api/v1/me", UserAnswer)["role"] == "Admin"
        before: Snapshot | None = None
        for snapshot in _poll(api, owner or ("*" if is_admin else None), seconds, looks):
            live.update(_screen(snapshot, before), refresh=True)
            before = snapshot


def _poll(api: ApiClient, owner: str | None, seconds: float, limit: int) -> Iterator[Snapshot]:
    """Yield `limit` snapshots, or without an end if it is 0."""
    for number in itertools.count(1):
        yield Snapshot(
            time.monotonic(),
            api.get("/api/v1/overview", OverviewAnswer, owner=owner),
            _read_jobs(api, "RUNNING", owner),
            _read_jobs(api, "FAILED", owner),
        )
        if number == limit:
            return
        time.sleep(seconds)


def _read_jobs(api: ApiClient, status: str, owner: str | None) -> list[JobAnswer]:
    return api.get("/api/v1/jobs", JobPageAnswer, status=status, owner=owner, size=_LATEST)["content"]


def _screen(snapshot: Snapshot, before: Snapshot | None) -> Group:
    overview = snapshot.overview
    whose = overview["owner"] or "everybody's jobs"
    head = Text(f"{format_time(overview['at'])}   {whose}   {_format_rate(snapshot, before)}", "bold")
    parts: list[RenderableType] = [head, _tabulate_types(overview)]
    for title, jobs in (("Running", snapshot.running), ("Failed last", snapshot.failed)):
        if jobs:
            parts += [Text(title, "bold"), job_table(jobs, results=True)]
    return Group(*parts)


def _format_rate(snapshot: Snapshot, before: Snapshot | None) -> str:
    if before is None:
        return ""
    ended = max(0, snapshot.count_ended() - before.count_ended())
    return f"{ended / (snapshot.at - before.at):,.1f} jobs ended a second"


def _tabulate_types(overview: OverviewAnswer) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_footer=True)
    table.add_column("type", footer="all")
    for status, count in _list_counts(overview["jobs"]):
        table.add_column(Text(status, STATUS_STYLE.get(status, "")), justify="right", footer=count)
    for of_type in overview["types"]:
        table.add_row(of_type["type"], *(count for _, count in _list_counts(of_type["jobs"])))
    return table


def _list_counts(counts: StatusCountsAnswer) -> list[tuple[str, str]]:
    return [(status, f"{counts[status]:,}") for status in _STATUSES]
