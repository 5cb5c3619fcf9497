"""Definitions: tasks are made, read, changed and deleted here. A run in progress is never touched by any of that."""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.dynamodb.transactions import TransactionCancelledError, transact
from leaseway.errors import ConflictError, InvalidInputError, UnavailableError
from leaseway.jobs.create import build
from leaseway.jobs.create.options import Options
from leaseway.settings import settings
from leaseway.tasks.invalid_schedule import InvalidScheduleError
from leaseway.tasks.model import (
    LISTED,
    CatchUp,
    Overlap,
    Task,
    TaskModel,
    TaskNotFoundError,
    due_key,
    name_lock,
    task_from_item,
)
from leaseway.tasks.schedule import schedule
from leaseway.tasks.slots import read_task

LONGEST_JITTER_SECONDS = 900
"""SQS delays a message no longer."""

_TRIES = 6
_TIMING = frozenset({"cron", "every", "timezone", "enabled"})


class TaskExistsError(ConflictError):
    """Another task has this name."""

    code = "TASK_EXISTS"


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides about a task. `ttl_ms` and `max_attempts` are None for the defaults of jobs."""

    name: str
    type: str
    payload: dict[str, Any]
    cron: str | None = None
    every: str | None = None
    timezone: str = "UTC"
    ttl_ms: int | None = None
    max_attempts: int | None = None
    enabled: bool = True
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    jitter_seconds: int = 0


def create_task(owner: str, wanted: Definition) -> Task:
    """Store a task; its first slot is the first one from now on. One transaction of two items.

    Raises:
        InvalidScheduleError: the schedule cannot be kept; names the field.
        InvalidInputError: type, payload, jitter or a limit is refused; names the field.
        TtlTooLongError: no worker that takes the type keeps a job so long.
        TaskExistsError: the name is taken.
    """
    now = clock.now_ms()
    fields = msgspec.structs.asdict(wanted) | _checked(owner, wanted)._asdict()
    task = Task(id=uuid.uuid4().hex, owner=owner, anchor=now, created_at=now, updated_at=now, **fields)
    task = msgspec.structs.replace(task, next_run=_first_slot(task, now))
    lock = TaskModel(name_lock(task.name), task_id=task.id)
    free = TaskModel.id.does_not_exist()
    try:
        transact([TaskModel.put_part(_stored(task), free), TaskModel.put_part(lock, free)], task.id)
    except TransactionCancelledError as cancelled:
        if cancelled.reasons[1].refused:
            raise TaskExistsError(name=task.name) from None
        raise UnavailableError("DynamoDB took no write; try again") from cancelled
    return task


def change_task(task_id: str, changes: Mapping[str, Any]) -> Task:
    """Change what `changes` names, fields of `Definition` other than the name; one read and one write.

    What changes when it is due, or resumes it, sets the next slot to the first one from now on; slots that passed while
    it was paused are not missed. `cron` replaces `every` and the other way round.

    Raises what `create_task` raises, and:
        TaskNotFoundError: there is none.
        UnavailableError: others kept changing it; nothing was changed.
    """
    for _ in range(_TRIES):
        before = read_task(task_id)
        after = _changed(before, changes)
        try:
            return task_from_item(TaskModel.change(task_id, _difference(before, after), _as_read(before, after)))
        except ConditionRefusedError as refusal:
            if refusal.item is None:
                raise TaskNotFoundError(task_id=task_id) from None
    raise UnavailableError(f"task {task_id} kept changing; try again")


def delete_task(task_id: str) -> Task:
    """Delete a task and free its name; returns what it was. Its history and its runs stay.

    Raises:
        TaskNotFoundError: there is none.
    """
    task = read_task(task_id)
    parts = [
        TaskModel.remove_part(task_id, TaskModel.id.exists()),
        TaskModel.remove_part(name_lock(task.name), TaskModel.task_id == task_id),
    ]
    try:
        transact(parts, uuid.uuid4().hex)
    except TransactionCancelledError as cancelled:
        if cancelled.reasons[0].refused:
            raise TaskNotFoundError(task_id=task_id) from None
        raise UnavailableError("DynamoDB took no write; try again") from cancelled
    return task


def _checked(owner: str, wanted: Definition | Task) -> build.Terms:
    if not 0 <= wanted.jitter_seconds <= LONGEST_JITTER_SECONDS:
        raise InvalidInputError(f"must be from 0 to {LONGEST_JITTER_SECONDS}", field="jitter_seconds")
    if len(msgspec.json.encode(wanted.payload)) > settings().inline_bytes:
        raise InvalidInputError(f"must be {settings().inline_bytes} bytes of JSON at most", field="payload")
    options = Options(ttl_ms=wanted.ttl_ms, max_attempts=wanted.max_attempts)
    return build.resolve_terms(owner, wanted.type, wanted.payload, options)


def _first_slot(task: Task, now: int) -> int | None:
    """The first slot from now on that was not settled before, whatever the clock did meanwhile."""
    if task.timezone != "UTC" and task.every is not None:
        raise InvalidScheduleError("an interval knows no time zone", field="timezone")
    slot = schedule(task.cron, task.every, task.timezone, task.anchor).next_after(max(now, task.last_slot or 0))
    return slot if task.enabled else None


def _changed(task: Task, changes: Mapping[str, Any]) -> Task:
    now = clock.now_ms()
    given = dict(changes)
    if ("cron" in given) != ("every" in given):
        given |= {"every" if "cron" in given else "cron": None}
    if given.get("every", task.every) is not None and "timezone" not in given:
        given["timezone"] = "UTC"
    if given.get("every") not in (None, task.every):
        given["anchor"] = now
    changed = msgspec.structs.replace(task, **given, updated_at=now, version=task.version + 1)
    only_pauses = changes.keys() <= {"enabled"} and not changed.enabled
    if not only_pauses:  # a task can always be paused, even if its type is retired or refuses its payload by now
        changed = msgspec.structs.replace(changed, **_checked(task.owner, changed)._asdict())
    timing = any(getattr(changed, name) != getattr(task, name) for name in _TIMING)
    if not timing and task.aside_from is None:
        return changed
    return msgspec.structs.replace(changed, next_run=_first_slot(changed, now), aside_from=None)


def _as_read(before: Task, after: Task) -> Condition:
    unchanged: Condition = TaskModel.version == before.version
    if before.next_run == after.next_run or before.next_run is None:
        return unchanged
    # A tick may settle a slot at this moment; then the first slot from now on is another one.
    settled_nothing: Condition = unchanged & (TaskModel.next_run == before.next_run)
    return settled_nothing


def _difference(before: Task, after: Task) -> list[Action]:
    old, new = _stored(before), _stored(after)
    actions: list[Action] = []
    for name in TaskModel.get_attributes():
        value = getattr(new, name)
        if value != getattr(old, name):
            attribute = getattr(TaskModel, name)
            actions.append(attribute.remove() if value is None else attribute.set(value))
    return actions


def _stored(task: Task) -> TaskModel:
    fields = msgspec.structs.asdict(task) | {
        "payload": msgspec.json.encode(task.payload).decode(),
        "overlap": task.overlap.value,
        "catch_up": task.catch_up.value,
        "due_key": None if task.next_run is None else due_key(task.id),
        "list_key": LISTED,
    }
    return TaskModel(fields.pop("id"), **fields)
