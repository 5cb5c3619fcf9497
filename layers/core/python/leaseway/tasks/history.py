"""The history of tasks: every run, every skipped slot and every missed stretch, newest first.

An entry is written by the transaction that moves the task on, so it is there exactly when that happened. A run's entry
only points at its job, which holds the outcome.

Entries sort by `entry`, which is a time and an id and therefore a position in every list that holds it.
"""

import heapq
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from leaseway import cursors
from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.query import Query, Range
from leaseway.dynamodb.table import Item, Part
from leaseway.errors import InvalidInputError
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import job_from_item
from leaseway.settings import settings
from leaseway.tasks.model import HISTORY_SHARDS, HistoryModel, Task, recent_key, slot_job_id
from leaseway.tasks.schedule import Due

_DAY_SECONDS = 86_400


class Kind(StrEnum):
    """What an entry records."""

    RUN = "RUN"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"


STATUSES = (*JobStatus.__members__, Kind.SKIPPED.value, Kind.MISSED.value)
"""What an entry's status can be: that of its job, or what became of the slot instead."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as a list shows it. Times are milliseconds since the epoch."""

    task_id: str
    name: str
    status: str
    at: int
    """When the run was created, or when the slot was given up."""
    slot: int | None = None
    """The slot; the first one of a missed stretch; None for a run started by hand."""
    until: int | None = None
    """The last slot of a missed stretch."""
    slots: int = 1
    """How many slots the entry stands for."""
    job: Job | None = None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; `cursor` leads on and is None at the end."""

    content: list[HistoryEntry]
    cursor: str | None


class SlotRecord(NamedTuple):
    """What became of the slots from `first` on that were settled at once."""

    first: int
    due: Due
    missed: int
    """How many had no run although none was at work: those before the last, or all."""
    skipped: bool
    """Whether the last one was skipped."""
    job: Job | None
    """The run that started for the last one."""
    at: int


class _HistoryPlace(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds: the entry to continue after."""

    after: str


def record_run(task: Task, job: Job) -> Part:
    """The entry of a run, as a part of the transaction that starts it."""
    return _part(task, Kind.RUN, job.created_at, job.id, job_id=job.id, slot=job.slot)


def record_slots(task: Task, settled: SlotRecord) -> list[Part]:
    """The entries of slots that were settled at once, as parts of the transaction that moves the task on."""
    first, due, missed, now = settled.first, settled.due, settled.missed, settled.at
    parts = []
    if missed:
        last = due.slot if missed > due.missed or due.before is None else due.before
        parts.append(_part(task, Kind.MISSED, now, slot_job_id(task.id, first), slot=first, until=last, slots=missed))
    if settled.skipped:
        parts.append(_part(task, Kind.SKIPPED, now, slot_job_id(task.id, due.slot), slot=due.slot))
    return [*parts, record_run(task, settled.job)] if settled.job else parts


def remove_run(job: Job) -> Part:
    """Remove the entry of a run that was taken back, as a part of the transaction that does so."""
    return HistoryModel.remove_part(str(job.task_id), range_key=_sort_key(job.created_at, job.id))


def _part(task: Task, kind: Kind, at: int, unique: str, **facts: Any) -> Part:
    item = HistoryModel(
        task.id,
        _sort_key(at, unique),
        kind=kind.value,
        name=task.name,
        at=at,
        expires_at=at // 1000 + settings().history_days * _DAY_SECONDS,
        recent_key=recent_key(task.id),
        **facts,
    )
    return HistoryModel.put_part(item, HistoryModel.entry.does_not_exist())


def _sort_key(at: int, unique: str) -> str:
    return f"{at:013d}#{unique}"


def page_of_history(
    task_id: str | None, *, status: str | None = None, size: int = 20, cursor: str | None = None
) -> HistoryPage:
    """A page of one task's history, or of all tasks' if `task_id` is None.

    A query (four for all tasks) and a read of the page's jobs. Filtered by status, it reads on until the page is full,
    at most `LIST_KEY_BUDGET` entries, then ends the page short with a cursor.

    Raises:
        InvalidInputError: the size or the status is none; names the field.
        InvalidCursorError: the cursor belongs to another list.
    """
    cursors.require_page_size(size)
    job_status = _parse_status(status)
    bound_to = ("task-history", task_id, job_status)
    after = cursors.read(cursor, bound_to, _HistoryPlace).after if cursor is not None else None
    content, last = _collect(task_id, job_status, size, after)
    return HistoryPage(content=content, cursor=cursors.sign(_HistoryPlace(last), bound_to) if last else None)


def _parse_status(status: str | None) -> str | None:
    if status not in (None, "FINISHED", *STATUSES):
        raise InvalidInputError(f"unknown status {status!r}; there are {', '.join(STATUSES)}", field="status")
    return JobStatus.COMPLETED.value if status == "FINISHED" else status


def _collect(
    task_id: str | None, status: str | None, size: int, after: str | None
) -> tuple[list[HistoryEntry], str | None]:
    """Matching entries, and the entry to go on after; None at the end."""
    entries: list[HistoryEntry] = []
    left, step = settings().list_key_budget, size + 1
    while left > 0:
        items = _read(task_id, min(step, left), after)
        for position, entry in _entries(items, status):
            if entry is not None and len(entries) == size:
                return entries, after
            entries += [entry] if entry is not None else []
            after = position
        if len(items) < min(step, left):
            return entries, None
        left, step = left - len(items), min(2 * step, cursors.LARGEST_PAGE)
    return entries, after


def _read(task_id: str | None, count: int, after: str | None) -> list[Item]:
    """The next `count` entries, newest first."""
    older = Range("entry", "<", after) if after else None
    if task_id is not None:
        query = Query(table="history_table", key=("task_id", task_id), range=older, descending=True)
        return list(query.items(limit=count))
    shards = (
        Query(table="history_table", index="recent", key=("recent_key", str(shard)), range=older, descending=True)
        for shard in range(HISTORY_SHARDS)
    )
    pages = (query.items(limit=count) for query in shards)
    return list(islice(heapq.merge(*pages, key=lambda item: str(item["entry"]["S"]), reverse=True), count))


def _entries(items: Sequence[Item], status: str | None) -> Iterator[tuple[str, HistoryEntry | None]]:
    """Each item's position with its entry; None for one of another status, and for a run whose job has expired."""
    jobs = _jobs(items)
    for item in items:
        entry = _entry(item, jobs)
        yield item["entry"]["S"], entry if entry is not None and status in (None, entry.status) else None


def _jobs(items: Sequence[Item]) -> dict[str, Job]:
    ids = [item["job_id"]["S"] for item in items if "job_id" in item]
    jobs = (job_from_item(item) for item in read_items("jobs_table", ids))
    return {job.id: job for job in jobs if job is not None}


def _entry(item: Item, jobs: dict[str, Job]) -> HistoryEntry | None:
    kind = item["kind"]["S"]
    job = jobs.get(item["job_id"]["S"]) if "job_id" in item else None
    if kind == Kind.RUN and job is None:
        return None
    return HistoryEntry(
        task_id=item["task_id"]["S"],
        name=item["name"]["S"],
        status=job.status.value if job else kind,
        at=int(item["at"]["N"]),
        slot=_number(item, "slot"),
        until=_number(item, "until"),
        slots=_number(item, "slots") or 1,
        job=job,
    )


def _number(item: Item, name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
