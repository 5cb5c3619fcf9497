"""How balances, jobs and refusals look at a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leaseway_local.terminal.console import messages

_RESULT_WIDTH = 52
_VALUE_WIDTH = 24
STATUS_STYLE = {"COMPLETED": "green", "FAILED": "red", "CANCELLED": "yellow", "RUNNING": "cyan", "MISSED": "yellow"}
"""Colours of what a job, a task or a slot can be."""

Json = Mapping[str, Any]


def print_problem(problem: Json, *, as_json: bool) -> None:
    """A problem document on standard error: one line that says what is wrong with which field, or all of it as JSON."""
    if as_json:
        sys.stderr.write(json.dumps(problem, ensure_ascii=False) + "\n")
        return
    where = f" [dim]({escape(str(problem['field']))})[/]" if problem.get("field") else ""
    title = escape(str(problem.get("detail") or problem.get("title") or "The request was refused."))
    code = escape(str(problem.get("code", problem.get("status", ""))))
    balance = f" Balance: {money(problem['balance'])}" if "balance" in problem else ""
    messages.print(f"[red]{code}[/]: {title}{where}{balance}")


def account_table(account: Json) -> Table:
    """One balance."""
    table = Table("user", "balance", "version", "updated", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_row(account["userId"], money(account["balance"]), str(account["version"]), moment(account["updated_at"]))
    return table


def job_table(jobs: Iterable[Json], *, results: bool = False) -> Table:
    """Jobs, one a row; with `results` what came of each."""
    # On a narrow terminal a list keeps its ids whole, and a table of results gives theirs up first.
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=not results, overflow="ellipsis", min_width=8)
    for name in ("type", "status", "attempts", "worker", "duration"):
        table.add_column(name, no_wrap=results, overflow="ellipsis")
    table.add_column("result" if results else "created", min_width=12)
    for job in jobs:
        last = Text(outcome_text(job) if results else moment(job["created_at"]), no_wrap=True, overflow="ellipsis")
        shown = f"{job['status']} {progress_text(job)}" if job["status"] == "RUNNING" else job["status"]
        status = Text(shown.rstrip(), style=STATUS_STYLE.get(job["status"], ""))
        attempts = f"{job['attempts']} of {job['max_attempts']}"
        table.add_row(job["id"], job["type"], status, attempts, worker_text(job), duration_text(job), last)
    return table


def changed_table(jobs: Iterable[Json]) -> Table:
    """Jobs of a selection that were changed, one a row, or why they were not."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=True, overflow="ellipsis", min_width=8)
    for name in ("type", "status", "created", "refused"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for job in jobs:
        status = Text(job["status"], style=STATUS_STYLE.get(job["status"], ""))
        refused = job["problem"]["code"] if job["problem"] else ""
        table.add_row(job["id"], job["type"], status, moment(job["created_at"]), refused)
    return table


def money(amount: Any) -> str:
    """An amount with thousands and both places: 10,000.00."""
    return f"{amount:,.2f}" if isinstance(amount, int | float) else str(amount)


def moment(rfc3339: str | None) -> str:
    """A time without the parts that nobody reads: 2026-02-04 15:30:05."""
    return "" if rfc3339 is None else rfc3339[:19].replace("T", " ")


def worker_text(job: Json) -> str:
    """The end of the worker's name: on Lambda the name is a log stream, and only its end tells two apart."""
    return (job.get("worker") or "")[-8:]


def progress_text(job: Json) -> str:
    """How far a job is, where it tells: 40% thumbnails."""
    if job.get("progress") is None:
        return ""
    return f"{job['progress']:.0%} {job.get('progress_note') or ''}".rstrip()


def attempt_text(attempt: Json) -> str:
    """One attempt of a job's history."""
    times = f"{moment(attempt['started_at'])} to {moment(attempt['ended_at']) or 'now'}"
    parts = (f"attempt {attempt['number']}", attempt["end"], times, worker_text(attempt), attempt["error"] or "")
    return "  ".join(part for part in parts if part)


def duration_text(job: Json) -> str:
    """How long the last attempt took."""
    if not job.get("started_at") or not job.get("finished_at"):
        return ""
    taken = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
    return f"{taken.total_seconds() * 1000:,.0f} ms"


def outcome_text(job: Json) -> str:
    """A job's result, or its error, cut to fit a table."""
    text = job.get("error_message") or ""
    if job["status"] == "COMPLETED":
        told = {name: value for name, value in (job.get("result") or {}).items() if _is_short(value)}
        text = ", ".join(f"{name} {str(value).strip()}" for name, value in told.items())
    text = " ".join(text.split())
    return text if len(text) <= _RESULT_WIDTH else text[: _RESULT_WIDTH - 1] + "…"


def _is_short(value: Any) -> bool:
    """Addresses, headers and bodies belong into the whole result, not into a table."""
    return not isinstance(value, dict | list) and len(str(value)) <= _VALUE_WIDTH
