"""The tasks table, the history table, and the task as the rest of the domain sees it."""

import hashlib
import zlib
from enum import StrEnum
from typing import Any

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection

from leaseway.dynamodb.table import Item, Table
from leaseway.errors import NotFoundError
from leaseway.settings import settings
from leaseway.tasks.schedule import Schedule, schedule

LISTED = "task"
"""The one hash key of the index that lists tasks by name: it is written when a task is made or deleted."""

HISTORY_SHARDS = 4
"""Shards of the history over all tasks; it takes one entry a run."""


class TaskNotFoundError(NotFoundError):
    """There is no such task."""

    code = "TASK_NOT_FOUND"


class Overlap(StrEnum):
    """What to do with a slot if the previous run has not ended."""

    SKIP = "skip"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """What to do about slots that no tick handled in time."""

    LATEST = "latest"
    NONE = "none"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring task at one moment. Times are milliseconds since the epoch, UTC."""

    id: str
    name: str
    cron: str | None = None
    every: str | None = None
    timezone: str = "UTC"
    type: str
    payload: dict[str, Any]
    ttl_ms: int
    max_attempts: int
    enabled: bool
    overlap: Overlap
    catch_up: CatchUp
    jitter_seconds: int = 0
    start_within_seconds: int | None = None
    """A run that no worker has claimed so long after its time is ended; None if it waits for ever."""
    queue: str | None = None
    """The queue of its type, where that has one of its own; None for the queue of tasks."""
    owner: str
    anchor: int
    """Where an interval counts from."""
    created_at: int
    updated_at: int
    version: int = 1
    """Counts the changes of the definition."""
    next_run: int | None = None
    """The slot to come; None while it is paused. While the task is set aside, when it is planned again."""
    aside_from: int | None = None
    """The slot to come of a task that is set aside."""
    last_slot: int | None = None
    """The latest slot that was started, skipped or missed: none up to it is ever looked at again.

    In the future if its run was created ahead.
    """
    last_job_id: str | None = None
    run_before: str | None = None
    """The id of the run before the last."""
    missed: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    """Slots skipped since the last run was started by the schedule."""
    failed_in_row: int = 0
    """Runs that failed since one completed, if a later run has started; without those that a client cancelled."""

    @property
    def next_slot(self) -> int | None:
        """The slot to come; None while it is paused."""
        return self.aside_from or self.next_run

    @property
    def schedule(self) -> Schedule:
        """Its series of slots."""
        return schedule(self.cron, self.every, self.timezone, self.anchor)


class DueIndex(GlobalSecondaryIndex[Any]):
    """Tasks that are not paused, by their next slot."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_key = UnicodeAttribute(hash_key=True)
    next_run = NumberAttribute(range_key=True)


class ListedIndex(GlobalSecondaryIndex[Any]):
    """All tasks by name. No run writes to it."""

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    list_key = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)


class TaskModel(Table):
    """One item a task, and one a name that is taken (`name#<name>`), which has nothing but its key and `task_id`."""

    table_setting = "tasks_table"

    class Meta:
        table_name = "set by Table"

    id = UnicodeAttribute(hash_key=True)
    task_id = UnicodeAttribute(null=True)
    name = UnicodeAttribute(null=True)
    cron = UnicodeAttribute(null=True)
    every = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(null=True)
    type = UnicodeAttribute(null=True)
    payload = UnicodeAttribute(null=True)
    ttl_ms = NumberAttribute(null=True)
    max_attempts = NumberAttribute(null=True)
    enabled = BooleanAttribute(null=True)
    overlap = UnicodeAttribute(null=True)
    catch_up = UnicodeAttribute(null=True)
    jitter_seconds = NumberAttribute(null=True)
    start_within_seconds = NumberAttribute(null=True)
    queue = UnicodeAttribute(null=True)
    owner = UnicodeAttribute(null=True)
    anchor = NumberAttribute(null=True)
    created_at = NumberAttribute(null=True)
    updated_at = NumberAttribute(null=True)
    version = NumberAttribute(null=True)
    next_run = NumberAttribute(null=True)
    aside_from = NumberAttribute(null=True)
    last_slot = NumberAttribute(null=True)
    last_job_id = UnicodeAttribute(null=True)
    run_before = UnicodeAttribute(null=True)
    missed = NumberAttribute(null=True)
    skipped = NumberAttribute(null=True)
    skipped_in_row = NumberAttribute(null=True)
    failed_in_row = NumberAttribute(null=True)

    due_key = UnicodeAttribute(null=True)
    list_key = UnicodeAttribute(null=True)

    by_slot = DueIndex()
    by_name = ListedIndex()


class RecentIndex(GlobalSecondaryIndex[Any]):
    """The history of all tasks. Entries are small and never change."""

    class Meta:
        index_name = "recent"
        projection = AllProjection()

    recent_key = UnicodeAttribute(hash_key=True)
    entry = UnicodeAttribute(range_key=True)


class HistoryModel(Table):
    """One item a run, a skipped slot or a stretch of missed slots. A run's own item is its job."""

    table_setting = "history_table"

    class Meta:
        table_name = "set by Table"

    task_id = UnicodeAttribute(hash_key=True)
    entry = UnicodeAttribute(range_key=True)
    kind = UnicodeAttribute()
    name = UnicodeAttribute()
    at = NumberAttribute()
    job_id = UnicodeAttribute(null=True)
    slot = NumberAttribute(null=True)
    until = NumberAttribute(null=True)
    slots = NumberAttribute(null=True)
    expires_at = NumberAttribute()
    recent_key = UnicodeAttribute()

    by_time = RecentIndex()


def due_key(task_id: str) -> str:
    """Hash key of the index of due tasks."""
    return str(zlib.crc32(task_id.encode()) % settings().due_shards)


def recent_key(task_id: str) -> str:
    """Hash key of the history over all tasks."""
    return str(zlib.crc32(task_id.encode()) % HISTORY_SHARDS)


def name_lock(name: str) -> str:
    """Key of the item that keeps a name to one task."""
    return f"name#{name}"


def slot_job_id(task_id: str, slot: int) -> str:
    """The id of the one job that a slot can have."""
    return hashlib.blake2b(f"{task_id}/{slot}".encode(), digest_size=16).hexdigest()


_TASK_FIELDS = frozenset(Task.__struct_fields__)


def task_from_item(item: Item) -> Task:
    """The task in an item."""
    fields: dict[str, Any] = {}
    for name, typed in item.items():
        kind, value = next(iter(typed.items()))
        fields[name] = int(value) if kind == "N" else value
    known = {name: value for name, value in fields.items() if name in _TASK_FIELDS}
    known["payload"] = msgspec.json.decode(known["payload"])
    return msgspec.convert(known, Task)
