"""Definitions: creates, changes and deletes tasks. A run that a worker has claimed goes on as it was started."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.repetition import decide_until_written
from leaseway.dynamodb.table import ConditionRefusedError, Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact, transact_with_retries
from leaseway.errors import ConflictError, InvalidInputError, UnavailableError
from leaseway.jobs.create import build
from leaseway.jobs.create.options import Options
from leaseway.jobs.job import Job
from leaseway.settings import settings
from leaseway.tasks.ahead import find_pending, remove_parts, take_back
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

LONGEST_START_SECONDS = 31 * 86_400

_TRIES = 6
_TIMING = frozenset({"cron", "every", "timezone", "enabled"})


class TaskExistsError(ConflictError):
    """Another task has this name."""

    code = "TASK_EXISTS"


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a client decides about a task. `ttl_ms` and `max_attempts` are None for the defaults of jobs."""

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
    start_within_seconds: int | None = None


def create_task(owner: str, definition: Definition) -> Task:
    """Store a task; its first slot is the first one from now on. One transaction of two items.

    Raises:
        InvalidScheduleError: the schedule cannot be kept; names the field.
        InvalidInputError: type, payload, jitter or a limit is refused; names the field.
        TtlTooLongError: no worker that takes the type keeps a job so long.
        TaskExistsError: the name is taken.
    """
    now = clock.now_ms()
    fields = msgspec.structs.asdict(definition) | _resolve_terms(owner, definition)
    task = Task(id=uuid.uuid4().hex, owner=owner, anchor=now, created_at=now, updated_at=now, **fields)
    task = msgspec.structs.replace(task, next_run=_first_slot(task, now))
    lock = TaskModel(name_lock(task.name), task_id=task.id)
    free = TaskModel.id.does_not_exist()
    try:
        transact([TaskModel.put_part(_build_row(task), free), TaskModel.put_part(lock, free)], task.id)
    except TransactionCancelledError as cancelled:
        if cancelled.reasons[1].refused:
            raise TaskExistsError(name=task.name) from None
        raise UnavailableError("DynamoDB took no write; try again") from cancelled
    return task


def change_task(task_id: str, changes: Mapping[str, Any]) -> Task:
    """Change what `changes` names, fields of `Definition` other than the name; one read and one write.

    What changes when it is due, or resumes it, sets the next slot to the first one from now on; slots that passed while
    it was paused are not missed. `cron` replaces `every` and the other way round. A run that was created ahead of its
    slot is taken back (a read more, and a transaction), and its slot comes again under the new definition.

    Raises what `create_task` raises, and:
        TaskNotFoundError: there is none.
        UnavailableError: others kept changing it; nothing was changed.
        OutcomeUnknownError: the answer was lost.
    """

    def change() -> Task | None:
        before, now = read_task(task_id), clock.now_ms()
        pending = find_pending(before, now)
        after = _apply_changes(before, changes, pending, now)
        return _write_change(before, after) if pending is None else _take_back_and_change(before, after, pending)

    return decide_until_written(change, tries=_TRIES, gives_up=_build_busy_error(task_id))


def _write_change(before: Task, after: Task) -> Task | None:
    """Write the change; None if another write came between."""
    try:
        return task_from_item(TaskModel.change(before.id, _difference(before, after), _is_as_read(before)))
    except ConditionRefusedError as refusal:
        if refusal.item is None:
            raise TaskNotFoundError(task_id=before.id) from None
        return None


def _take_back_and_change(before: Task, after: Task, pending: Job) -> Task | None:
    """Write the change and remove the run that is to start; None if it has started, or another write came between."""
    same_run = TaskModel.last_job_id == before.last_job_id
    change = TaskModel.change_part(before.id, _difference(before, after), _is_as_read(before) & same_run)
    return after if _transact([change, *remove_parts(pending)], before.id) else None


def _transact(parts: Sequence[Part], task_id: str) -> bool:
    """Send a transaction whose first part is the task; returns whether it was written."""
    try:
        transact_with_retries(parts)
    except TransactionCancelledError as cancelled:
        of_task = cancelled.reasons[0]
        if of_task.refused and of_task.item is None:
            raise TaskNotFoundError(task_id=task_id) from None
        return False
    return True


def delete_task(task_id: str) -> Task:
    """Delete a task and free its name; returns what it was. Its history and its runs stay.

    Only a run that was created ahead of its slot is taken back. A read, two if there may be such a run, and a
    transaction.

    Raises:
        TaskNotFoundError: there is none.
        UnavailableError: others kept changing it; nothing was deleted.
        OutcomeUnknownError: the answer was lost.
    """

    def delete() -> Task | None:
        task = read_task(task_id)
        pending = find_pending(task, clock.now_ms())
        parts = [
            TaskModel.remove_part(task_id, _is_as_read(task)),
            TaskModel.remove_part(name_lock(task.name), TaskModel.task_id == task_id),
            *(remove_parts(pending) if pending is not None else []),
        ]
        return task if _transact(parts, task_id) else None

    return decide_until_written(delete, tries=_TRIES, gives_up=_build_busy_error(task_id))


def _build_busy_error(task_id: str) -> UnavailableError:
    return UnavailableError(f"task {task_id} kept changing; try again")


def _resolve_terms(owner: str, definition: Definition | Task) -> dict[str, Any]:
    if not 0 <= definition.jitter_seconds <= LONGEST_JITTER_SECONDS:
        raise InvalidInputError(f"must be from 0 to {LONGEST_JITTER_SECONDS}", field="jitter_seconds")
    within = definition.start_within_seconds
    if within is not None and not 1 <= within <= LONGEST_START_SECONDS:
        raise InvalidInputError(f"must be from 1 to {LONGEST_START_SECONDS}", field="start_within_seconds")
    if len(msgspec.json.encode(definition.payload)) > settings().inline_bytes:
        raise InvalidInputError(f"must be {settings().inline_bytes} bytes of JSON at most", field="payload")
    options = Options(ttl_ms=definition.ttl_ms, max_attempts=definition.max_attempts)
    terms = build.resolve_terms(owner, definition.type, definition.payload, options)
    # Without the lease: each run has the one that its type declares by then.
    return {"ttl_ms": terms.ttl_ms, "max_attempts": terms.max_attempts, "queue": terms.queue}


def _first_slot(task: Task, now: int) -> int | None:
    """The first slot from now on that was not settled before, even if the clock was set back."""
    if task.timezone != "UTC" and task.every is not None:
        raise InvalidScheduleError("an interval knows no time zone", field="timezone")
    slot = schedule(task.cron, task.every, task.timezone, task.anchor).next_after(max(now, task.last_slot or 0))
    return slot if task.enabled else None


def _apply_changes(task: Task, changes: Mapping[str, Any], pending: Job | None, now: int) -> Task:
    fields = dict(changes)
    if ("cron" in fields) != ("every" in fields):
        fields |= {"every" if "cron" in fields else "cron": None}
    if fields.get("every", task.every) is not None and "timezone" not in fields:
        fields["timezone"] = "UTC"
    if fields.get("every") not in (None, task.every):
        fields["anchor"] = now
    changed = msgspec.structs.replace(task, **fields, updated_at=now, version=task.version + 1)
    only_pauses = changes.keys() <= {"enabled"} and not changed.enabled
    if not only_pauses:  # a task can always be paused, even if its type is retired or refuses its payload by now
        changed = msgspec.structs.replace(changed, **_resolve_terms(task.owner, changed))
    timing = any(getattr(changed, name) != getattr(task, name) for name in _TIMING)
    if pending is not None:
        changed = take_back(changed, pending, now)
    elif not timing and task.aside_from is None:
        return changed
    return msgspec.structs.replace(changed, next_run=_first_slot(changed, now), aside_from=None)


def _is_as_read(task: Task) -> Condition:
    """No other change came, and no tick settled a slot: it may have created a run ahead, of the old definition."""
    unchanged: Condition = TaskModel.version == task.version
    return unchanged if task.next_run is None else unchanged & (TaskModel.next_run == task.next_run)


def _difference(before: Task, after: Task) -> list[Action]:
    old, new = _build_row(before), _build_row(after)
    actions: list[Action] = []
    for name in TaskModel.get_attributes():
        value = getattr(new, name)
        if value != getattr(old, name):
            attribute = getattr(TaskModel, name)
            actions.append(attribute.remove() if value is None else attribute.set(value))
    return actions


def _build_row(task: Task) -> TaskModel:
    fields = msgspec.structs.asdict(task) | {
        "payload": msgspec.json.encode(task.payload).decode(),
        "overlap": task.overlap.value,
        "catch_up": task.catch_up.value,
        "due_key": None if task.next_run is None else due_key(task.id),
        "list_key": LISTED,
    }
    return TaskModel(fields.pop("id"), **fields)
