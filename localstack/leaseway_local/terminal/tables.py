"""Balances, jobs and refusals as tables and texts for a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leaseway_local.answer_checks import parse_time
from leaseway_local.answers import AccountAnswer, AttemptAnswer, ChangedJobAnswer, JobAnswer
from leaseway_local.terminal.console import data, escape_controls, format_json, messages, print_json

_RESULT_WIDTH = 52
_VALUE_WIDTH = 24
_LARGEST_AMOUNT = 1e18  # beyond this, digits would be invented
STATUS_STYLE = {"COMPLETED": "green", "FAILED": "red", "CANCELLED": "yellow", "RUNNING": "cyan", "MISSED": "yellow"}
"""Colours of the states of jobs, tasks and slots."""

Json = Mapping[str, Any]


def print_problem(problem: Json, *, as_json: bool) -> None:
    """Print a problem document on standard error: one line that names the field and what is wrong, or the JSON."""
    if as_json:
        sys.stderr.write(format_json(problem) + "\n")
        return
    field = f" ({problem['field']})" if problem.get("field") else ""
    title = str(problem.get("detail") or problem.get("title") or "The request was refused.")
    code = str(problem.get("code", problem.get("status", "")))
    balance = f" Balance: {format_money(problem['balance'])}" if "balance" in problem else ""
    # Assembled rather than marked up: rich doubles a backslash at the end of an escaped text.
    parts = ((code, "red"), (f": {title}", ""), (field, "dim"), (balance, ""))
    messages.print(Text.assemble(*((escape_controls(text), style) for text, style in parts)))


def print_job(job: JobAnswer, *, as_json: bool) -> None:
    """Print one job with its tags, payload, result and attempts, or its JSON."""
    if as_json:
        print_json(job)
        return
    data.print(job_table([job]))
    if job["tags"]:
        data.print("tags   ", ", ".join(job["tags"]), markup=False)
    data.print("payload", json.dumps(job["payload"], ensure_ascii=False), markup=False)
    if job["result"] is not None:
        data.print("result ", json.dumps(job["result"], ensure_ascii=False), markup=False)
    if job["error_message"]:
        data.print("error  ", job["error_message"], markup=False)
    if len(job["history"]) > 1:
        data.print(*map(format_attempt, job["history"]), sep="\n", markup=False)


def account_table(account: AccountAnswer) -> Table:
    """A table with one balance."""
    table = Table("user", "balance", "version", "updated", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_row(
        account["userId"], format_money(account["balance"]), str(account["version"]), format_time(account["updated_at"])
    )
    return table


def job_table(jobs: Iterable[JobAnswer], *, results: bool = False) -> Table:
    """A table with one row per job; with `results` it shows each job's result or error."""
    # On a narrow terminal a list shows whole ids, and a table of results cuts them first.
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=not results, overflow="ellipsis", min_width=8)
    for name in ("type", "status", "attempts", "worker", "duration"):
        table.add_column(name, no_wrap=results, overflow="ellipsis")
    table.add_column("result" if results else "created", min_width=12)
    for job in jobs:
        last = Text(
            format_outcome(job) if results else format_time(job["created_at"]), no_wrap=True, overflow="ellipsis"
        )
        state = f"{job['status']} {format_progress(job)}" if job["status"] == "RUNNING" else job["status"]
        status = Text(state.rstrip(), style=STATUS_STYLE.get(job["status"], ""))
        attempts = f"{job['attempts']} of {job['max_attempts']}"
        table.add_row(job["id"], job["type"], status, attempts, format_worker(job), format_duration(job), last)
    return table


def list_changes(jobs: Iterable[ChangedJobAnswer]) -> Table:
    """A table with one row per selected job: its state after the change, or why it was refused."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=True, overflow="ellipsis", min_width=8)
    for name in ("type", "status", "created", "refused"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for job in jobs:
        status = Text(job["status"], style=STATUS_STYLE.get(job["status"], ""))
        refused = job["problem"]["code"] if job["problem"] else ""
        table.add_row(job["id"], job["type"], status, format_time(job["created_at"]), refused)
    return table


def format_more(page: Json) -> Text:
    """Say how to read the next page, and how many rows there are if the API counts them: a tag's are not counted."""
    total = page.get("totalElements")
    counted = f"{total:,} in all; " if isinstance(total, int) else ""
    return Text.assemble((f"{counted}more with", "dim"), f" --cursor {escape_controls(str(page['cursor']))}")


def format_money(amount: Any) -> str:
    """Format an amount with thousands separators and two decimal places: 10,000.00."""
    is_number = isinstance(amount, int | float) and abs(amount) < _LARGEST_AMOUNT
    return f"{amount:,.2f}" if is_number else str(amount)


def format_time(rfc3339: str | None) -> str:
    """Format a time to the second: 2026-02-04 15:30:05."""
    return "" if rfc3339 is None else rfc3339[:19].replace("T", " ")


def format_worker(job: Json) -> str:
    """The end of the worker's name: on Lambda the name is a log stream, which differs only at its end."""
    return (job.get("worker") or "")[-8:]


def format_progress(job: JobAnswer) -> str:
    """Format a job's progress, if it reports any: 40% thumbnails."""
    if job["progress"] is None:
        return ""
    return f"{job['progress']:.0%} {job['progress_note'] or ''}".rstrip()


def format_attempt(attempt: AttemptAnswer) -> str:
    """Format one attempt of a job's history."""
    times = f"{format_time(attempt['started_at'])} to {format_time(attempt['ended_at']) or 'now'}"
    parts = (f"attempt {attempt['number']}", attempt["end"], times, format_worker(attempt), attempt["error"] or "")
    return "  ".join(part for part in parts if part)


def format_duration(job: JobAnswer) -> str:
    """Format the duration of the last attempt."""
    if not job["started_at"] or not job["finished_at"]:
        return ""
    duration = parse_time(job["finished_at"]) - parse_time(job["started_at"])
    return f"{duration.total_seconds() * 1000:,.0f} ms"


def format_outcome(job: JobAnswer) -> str:
    """Format a job's result or error, cut to fit a table."""
    text = job["error_message"] or ""
    if job["status"] == "COMPLETED":
        short = {name: value for name, value in (job["result"] or {}).items() if _is_short(value)}
        text = ", ".join(f"{name} {str(value).strip()}" for name, value in short.items())
    text = " ".join(text.split())
    return text if len(text) <= _RESULT_WIDTH else text[: _RESULT_WIDTH - 1] + "…"


def _is_short(value: Any) -> bool:
    """Whether a value fits a table: addresses, headers and bodies do not."""
    return not isinstance(value, dict | list) and len(str(value)) <= _VALUE_WIDTH
