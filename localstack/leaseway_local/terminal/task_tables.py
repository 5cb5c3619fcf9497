"""Tables of recurring tasks, their history and their workers."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leaseway_local.answers import HistoryEntryAnswer, TaskAnswer, TaskSummaryAnswer
from leaseway_local.terminal.tables import STATUS_STYLE, format_time, format_worker


def task_table(tasks: Sequence[TaskAnswer]) -> Table:
    """Return a table with one task per row, its state and its last run."""
    table = _table("task", "type", "state", "schedule", "next", "worker", "seconds", "last run", "missed", "skipped")
    for task in tasks:
        last = task["run"]
        running = last if task["state"] == "RUNNING" else None
        table.add_row(
            task["name"],
            task["type"],
            Text(task["state"], style=STATUS_STYLE.get(task["state"], "")),
            task["cron"] or f"every {task['every']}",
            format_time(task["next_run"]),
            format_worker(running) if running else "",
            _format_whole_seconds(running["running_seconds"]) if running else "",
            _status(last["status"] if last else ""),
            str(task["missed"] or ""),
            str(task["skipped"] or ""),
        )
    return table


def history_table(entries: Sequence[HistoryEntryAnswer]) -> Table:
    """Return a table with one entry of the history per row."""
    table = _table("at", "task", "status", "slot", "worker", "attempts", "crashes", "job or reason")
    for entry in entries:
        last = entry["run"]
        reason = f"{entry['slots']} slots" if entry["slots"] > 1 else ""
        facts = (str(last["attempts"]), str(last["crashes"]), last["job_id"]) if last else ("", "", reason)
        slot = format_time(entry["slot"]) or "by hand"
        worker = format_worker(last) if last else ""
        table.add_row(format_time(entry["at"]), entry["name"], _status(entry["status"]), slot, worker, *facts)
    return table


def worker_table(summary: TaskSummaryAnswer) -> Table:
    """Return a table of the busiest workers: their runs, and how long these took."""
    workers = _table("worker", "runs", "mean", "p95")
    for figures in summary["by_worker"][:10]:
        times = (_format_mean(figures["mean_ms"]), _format_mean(figures["p95_ms"]))
        workers.add_row(format_worker(figures), str(figures["runs"]), *times)
    return workers


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="ellipsis")
    return table


def _status(status: str) -> Text:
    return Text(status, style=STATUS_STYLE.get(status, ""))


def _format_mean(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def _format_whole_seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"
