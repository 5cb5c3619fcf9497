"""Starting runs: one transaction a slot, so that a crash at any point loses no slot and doubles none.

    tick A  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  done, then its message
    tick B  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  refused: the task stands at 12:05; nothing to do
    by hand --{task: last_job_id j1 -> j2; job j2}----------->  refused where a tick came first; judged again

A message that is lost after the transaction is the sweeper's to send again.
"""

import uuid
import zlib
from enum import StrEnum
from typing import NamedTuple

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_with_retries
from leaseway.errors import ConflictError, UnavailableError
from leaseway.jobs import content, queue
from leaseway.jobs.create import create
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.settings import settings
from leaseway.tasks import history
from leaseway.tasks.model import CatchUp, Overlap, Task, TaskModel, TaskNotFoundError, slot_job_id, task_from_item
from leaseway.tasks.schedule import Due

_TRIES = 6
_BACKOFF = Backoff(first=0.02)
_ENDED = tuple(status.value for status in JobStatus if status.is_terminal)


class AlreadyRunningError(ConflictError):
    """The task is running, and its overlap policy is `skip`."""

    code = "ALREADY_RUNNING"


class Settled(StrEnum):
    """What became of a slot."""

    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    RACED = "raced"
    """Another tick settled it, or the task was paused, changed or deleted."""


class Outcome(NamedTuple):
    """A settled slot: the run to send a message for, where there is one, and how many slots were missed."""

    settled: Settled
    job: Job | None = None
    missed: int = 0


class _Plan(NamedTuple):
    """A transaction and what it comes to. The task is its first part, a run that it starts its second."""

    parts: list[Part]
    outcome: Outcome


class _Standing(StrEnum):
    """What the last run is to the next one."""

    FREE = "free"
    ALIVE = "alive"
    DEAD = "dead"


def settle_slot(task: Task, last: Job | None, *, now: int | None = None) -> Outcome:
    """Start, skip or miss the slot that `task` has come to; `last` is the run that its `last_job_id` names.

    One transaction (task, history, job, and under `skip` the last run): 2 write units an item, and the indexes'.
    Refused, it brings the task along and judges again.

    Raises:
        UnavailableError: others kept changing the task; nothing was written, and the next tick sees it.
        OutcomeUnknownError: the answer was lost; where it was written, the sweeper sends the message.
    """
    for _ in _BACKOFF.attempts(_TRIES):
        moment = clock.now_ms() if now is None else now
        if task.next_run is None or task.next_run > moment:
            return Outcome(Settled.RACED)
        plan = _plan_slot(task, last, moment)
        try:
            transact_with_retries(plan.parts)
        except TransactionCancelledError as cancelled:
            if _exists_already(plan, cancelled):
                return _pass_over(task, plan)
            found = _as_it_is(task, cancelled)
            if found is None:
                return Outcome(Settled.RACED)
            task, last = found, read_run(found.last_job_id)
        else:
            return plan.outcome
    raise UnavailableError(f"task {task.id} kept changing")


def start_now(task_id: str) -> Job:
    """Run a task once, now, whatever its schedule says and also while it is paused. Two reads and one transaction.

    Raises:
        TaskNotFoundError: there is none.
        AlreadyRunningError: its last run has not ended and it does not overlap; carries that run's `job_id`.
        UnavailableError: others kept changing the task; nothing was started.
        OutcomeUnknownError: the answer was lost.
    """
    task = read_task(task_id)
    for _ in _BACKOFF.attempts(_TRIES):
        last = read_run(task.last_job_id)
        now = clock.now_ms()
        if task.overlap is Overlap.SKIP and _standing(last, now) is _Standing.ALIVE:
            raise AlreadyRunningError(job_id=task.last_job_id)
        job = _run_of(task, uuid.uuid4().hex, None, now)
        actions = [TaskModel.last_job_id.set(job.id)]
        try:
            transact_with_retries(
                [TaskModel.change_part(task.id, actions, _as_read(task)), *_starting(task, job, last, now)]
            )
        except TransactionCancelledError as cancelled:
            found = _as_it_is(task, cancelled)
            if found is None:
                raise TaskNotFoundError(task_id=task_id) from None
            task = found
        else:
            queue.send([queue.message_of(job)])
            return job
    raise UnavailableError(f"task {task_id} kept changing; try again")


def read_task(task_id: str) -> Task:
    """The task, by a consistent read.

    Raises:
        TaskNotFoundError: there is none.
    """
    item = TaskModel.read(task_id)
    if item is None or "list_key" not in item:
        raise TaskNotFoundError(task_id=task_id)
    return task_from_item(item)


def read_run(job_id: str | None) -> Job | None:
    """A run by its id, as it is stored; None where there is none, or none any more. One consistent read."""
    item = JobModel.read(job_id) if job_id else None
    return job_from_item(item) if item is not None else None


def _standing(last: Job | None, now: int) -> _Standing:
    """Whether the last run may still be at work. A dead worker's run is waited for as long as a takeover takes."""
    if last is None or last.status.is_terminal:
        return _Standing.FREE
    if last.status is JobStatus.CREATED:
        return _Standing.ALIVE
    died = (last.lease_until or 0) <= now - finish.TAKEOVER_GRACE_MS
    return _Standing.DEAD if died or (last.deadline or 0) <= now else _Standing.ALIVE


def _plan_slot(task: Task, last: Job | None, now: int) -> _Plan:
    assert task.next_run is not None  # noqa: S101 - the caller has asked
    due = task.schedule.due(task.next_run, now)
    if task.catch_up is CatchUp.NONE and not _in_time(task.next_run, due, now):
        missed = due.missed + 1
        entry = history.missed(task, task.next_run, due.slot, missed, now)
        return _Plan([_advance(task, due, missed=missed), entry], Outcome(Settled.MISSED, missed=missed))
    earlier = (
        [history.missed(task, task.next_run, due.before, due.missed, now)] if due.missed and due.before else []
    )  # fmt: skip
    if task.overlap is Overlap.SKIP and _standing(last, now) is _Standing.ALIVE:
        entry = history.skipped(task, due.slot, now)
        parts = [_advance(task, due, missed=due.missed, skipped=1), *earlier, entry]
        return _Plan(parts, Outcome(Settled.SKIPPED, missed=due.missed))
    job = _run_of(task, slot_job_id(task.id, due.slot), due.slot, now)
    started = _starting(task, job, last, now)
    parts = [_advance(task, due, missed=due.missed, job=job), *started, *earlier]
    return _Plan(parts, Outcome(Settled.STARTED, job, due.missed))


def _in_time(first: int, due: Due, now: int) -> bool:
    """Whether a tick saw the slot as early as ticks do.

    Where slots are denser than that, an outage leaves a fresh slot behind it in any case: it belongs to the stretch
    that was missed, and the schedule goes on with the next.
    """
    late = settings().late_seconds * 1000
    dense = due.before is not None and due.slot - due.before <= late
    return now - (first if dense else due.slot) <= late


def _as_read(task: Task) -> Condition:
    """Nobody has started a run of the task or changed its definition since it was read."""
    same_run = (
        TaskModel.last_job_id.does_not_exist()
        if task.last_job_id is None
        else TaskModel.last_job_id == task.last_job_id
    )
    as_read: Condition = same_run & (TaskModel.version == task.version)
    return as_read


def _advance(task: Task, due: Due, *, missed: int, skipped: int = 0, job: Job | None = None) -> Part:
    actions: list[Action] = [
        TaskModel.next_run.set(due.next),
        TaskModel.last_slot.set(due.slot),
        TaskModel.missed.add(missed),
        TaskModel.skipped.add(skipped),
    ]
    actions += [TaskModel.last_job_id.set(job.id)] if job else []
    return TaskModel.change_part(task.id, actions, _as_read(task) & (TaskModel.next_run == task.next_run))


def _starting(task: Task, job: Job, last: Job | None, now: int) -> list[Part]:
    kept = content.Content(msgspec.json.encode(job.payload).decode(), None)
    parts = [
        JobModel.put_part(create.stored(job, kept), JobModel.id.does_not_exist()),
        history.run(task, job),
    ]
    if task.overlap is Overlap.ALLOW or task.last_job_id is None:
        return parts
    if last is not None and _standing(last, now) is _Standing.DEAD:
        return [*parts, finish.superseding_part(last, now)]
    # Somebody may retry the last run by hand at this moment: then this one must wait.
    still_over = JobModel.id.does_not_exist() | JobModel.status.is_in(*_ENDED)
    return [*parts, JobModel.check_part(task.last_job_id, still_over)]


def _run_of(task: Task, job_id: str, slot: int | None, now: int) -> Job:
    terms = create.Terms(task.ttl_ms, task.max_attempts, task.queue)
    job = create.new_job(task.owner, task.type, task.payload, terms)
    starts = None if slot is None else slot + _jitter_ms(task, slot)
    run_after = starts if starts is not None and starts > now else None
    look_at = finish.first_look(run_after) if run_after else job.look_at
    return msgspec.structs.replace(
        job, id=job_id, task_id=task.id, slot=slot, created_at=now, updated_at=now, run_after=run_after, look_at=look_at
    )


def _jitter_ms(task: Task, slot: int) -> int:
    """A delay from zero up to the task's jitter, the same for a slot whoever asks."""
    return zlib.crc32(f"{task.id}/{slot}".encode()) % (task.jitter_seconds * 1000 + 1)


def _exists_already(plan: _Plan, cancelled: TransactionCancelledError) -> bool:
    # Only the job's own put can find a job there; the task was as it had been read.
    return plan.outcome.job is not None and not cancelled.reasons[0].refused and cancelled.reasons[1].refused


def _pass_over(task: Task, plan: _Plan) -> Outcome:
    """The slot has its job, though the task does not know: as after a restored backup. It is not run again."""
    assert plan.outcome.job is not None  # noqa: S101 - that is what exists already
    try:
        transact_with_retries([plan.parts[0]])
    except TransactionCancelledError:
        return Outcome(Settled.RACED)
    return Outcome(Settled.RACED)


def _as_it_is(task: Task, cancelled: TransactionCancelledError) -> Task | None:
    """The task after a refusal, which brings it along; None where it is gone."""
    refusal = cancelled.reasons[0]
    if not refusal.refused:
        return task
    return task_from_item(refusal.item) if refusal.item else None
