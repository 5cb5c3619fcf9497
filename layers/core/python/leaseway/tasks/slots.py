"""Settling slots: one transaction per slot, so that a crash at any point loses no slot and doubles none.

    tick A  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  done, then its message
    tick B  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  refused: the task is at 12:05 already; nothing to do
    by hand --{task: last_job_id j1 -> j2; job j2}----------->  refused if a tick came first; planned again

If the message is lost after the transaction, the sweeper sends it again.
"""

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled, transact_with_retries
from leaseway.errors import ConflictError, UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.logs import log
from leaseway.settings import settings
from leaseway.tasks.ahead import find_pending, take_back
from leaseway.tasks.model import Overlap, Task, TaskModel, TaskNotFoundError, task_from_item
from leaseway.tasks.plan import Plan, Streaks, Verdict, plan_run_now, plan_slot
from leaseway.tasks.runs import Obstacle

_ASIDE_MS = 3_600_000


class AlreadyRunningError(ConflictError):
    """The task is running, and its overlap policy is `skip`."""

    code = "ALREADY_RUNNING"


class UnplannableTaskError(Exception):
    """A task's slot cannot be planned: its schedule or another part of its definition cannot be read."""


class SettledSlot(NamedTuple):
    """What became of a slot, the run that needs a message (if one started), and how many slots were missed."""

    verdict: Verdict
    job: Job | None = None
    missed: int = 0
    streaks: Streaks = Streaks()


_RACED = SettledSlot(Verdict.RACED)
_NOT_DUE = Plan(0, Verdict.RACED, 0, None, [], Streaks())


def settle_slot(task: Task, last: Job | None, *, now: int | None = None) -> SettledSlot:
    """Start, skip or miss the slot that `task` comes to; `last` is the run that its `last_job_id` names.

    A slot that comes within `SCHEDULE_AHEAD_SECONDS` gets its run now, which starts at its time.

    One transaction (task, history, job, and under `skip` the last run): 2 write units per item, and those of indexes.
    A refusal brings the task as it is now, and the slot is planned again.

    Raises:
        UnplannableTaskError: its definition cannot be read; nothing was written.
        UnavailableError: others kept changing the task; nothing was written, and the next tick sees it.
        OutcomeUnknownError: the answer was lost; if it was written, the sweeper sends the message.
    """
    settling = _Settling(task, last, now)
    busy = f"task {task.id} kept changing"
    return transact_until_settled(settling.plan, settling.judge, busy=busy) or settling.outcome


class _Settling:
    """A slot on its way: the task as it was last seen, and the plan for its slot."""

    def __init__(self, task: Task, last: Job | None, now: int | None) -> None:
        self._task = task
        self._last = last
        self._now = now
        self._plan = _NOT_DUE

    @property
    def outcome(self) -> SettledSlot:
        """What became of the slot, once the plan is written."""
        return SettledSlot(self._plan.verdict, self._plan.job, self._plan.missed, self._plan.streaks)

    def plan(self) -> list[Part]:
        """Plan the slot that the task comes to; nothing if another tick has settled it, or if it is deferred."""
        now = clock.now_ms() if self._now is None else self._now
        is_due = self._task.next_run is not None and self._task.next_run <= now + _ahead_ms()
        self._plan = _plan(self._task, self._last, now) if is_due else _NOT_DUE
        return self._plan.parts

    def judge(self, cancelled: TransactionCancelledError) -> SettledSlot | None:
        """Read from a refusal how the task is now; None to plan again."""
        if _job_exists(self._plan, cancelled):
            _pass_over(self._plan)
            return _RACED
        current = _current_task(self._task, cancelled)
        if current is None:
            return _RACED
        self._task, self._last = current, read_run(current.last_job_id)
        return None


def _ahead_ms() -> int:
    return settings().schedule_ahead_seconds * 1000


def set_aside(task_id: str, next_run: int, now: int) -> None:
    """Look at a task that cannot be planned again in an hour, so that it does not stand before others. One write.

    Its slot is kept: once the task can be planned, it is settled as one that comes late. A failure is logged.
    """
    actions = [
        TaskModel.aside_from.set(TaskModel.aside_from | next_run),  # if it is not set already
        TaskModel.next_run.set(now + _ASIDE_MS),
    ]
    try:
        TaskModel.change(task_id, actions, TaskModel.next_run == next_run)
    except ConditionRefusedError:
        return  # it was settled, changed, paused or deleted
    except (BotoCoreError, ClientError):
        log.exception("task not set aside", extra={"action": "schedule", "task_id": task_id})


class RunRecordedError(Exception):
    """Another request has recorded its run under the same key; nothing was started."""


def start_now(task_id: str, *, record: Callable[[Job], Part] | None = None) -> Job:
    """Run a task once, now, whatever its schedule says and even while it is paused. Two reads and one transaction.

    `record` makes a part of the transaction that is refused if the same request was recorded before.
    If it does not overlap, a run that was created ahead of its slot is taken back, which is a read more.

    Raises:
        RunRecordedError: that part was refused.
        TaskNotFoundError: no such task.
        AlreadyRunningError: its last run has not ended and it does not overlap; carries that run's `job_id`.
        UnavailableError: others kept changing the task, or its type has no queue any more; nothing was started.
        OutcomeUnknownError: the answer was lost.
    """
    starting = _Starting(read_task(task_id), record)
    transact_until_settled(starting.plan, starting.judge, busy=f"task {task_id} kept changing; try again")
    queue.send([queue.build_message(starting.job)])
    return starting.job


class _Starting:
    """A run by hand on its way: the task as it was last seen, and the run that is planned for it."""

    job: Job

    def __init__(self, task: Task, record: Callable[[Job], Part] | None) -> None:
        self._task = task
        self._record = record

    def plan(self) -> list[Part]:
        """Plan the run; the part that records it is the last one."""
        plan = _plan_now(self._task)
        assert plan.job is not None  # noqa: S101 - a run by hand has one
        self.job = plan.job
        return plan.parts if self._record is None else [*plan.parts, self._record(plan.job)]

    def judge(self, cancelled: TransactionCancelledError) -> None:
        """Read from a refusal how the task is now, to plan again."""
        if self._record is not None and cancelled.reasons[-1].refused:
            raise RunRecordedError from None
        current = _current_task(self._task, cancelled)
        if current is None:
            raise TaskNotFoundError(task_id=self._task.id) from None
        self._task = current


def read_task(task_id: str) -> Task:
    """The task, by a consistent read.

    Raises:
        TaskNotFoundError: no such task.
    """
    item = TaskModel.read(task_id)
    if item is None or "list_key" not in item:
        raise TaskNotFoundError(task_id=task_id)
    return task_from_item(item)


def read_run(job_id: str | None) -> Job | None:
    """A run by its id, as it is stored; None if it does not exist (any longer). One consistent read."""
    item = JobModel.read(job_id) if job_id else None
    return job_from_item(item) if item is not None else None


def _plan(task: Task, last: Job | None, now: int) -> Plan:
    try:
        return plan_slot(task, task.next_slot or now, last, now)
    except Exception as problem:
        raise UnplannableTaskError(task.id) from problem


def _plan_now(task: Task) -> Plan:
    now = clock.now_ms()
    pending = find_pending(task, now) if task.overlap is Overlap.SKIP else None
    last = read_run(task.last_job_id if pending is None else take_back(task, pending, now).last_job_id)
    plan = plan_run_now(task, uuid.uuid4().hex, last, now, pending=pending)
    if plan is Obstacle.ALIVE:
        raise AlreadyRunningError(job_id=task.last_job_id)
    if isinstance(plan, Obstacle):
        raise UnavailableError(f"the deployment has no queue for jobs of type {task.type}")
    return plan


def _job_exists(plan: Plan, cancelled: TransactionCancelledError) -> bool:
    # Only the job's own put can find a job there; the task was as it had been read.
    return plan.job is not None and not cancelled.reasons[0].refused and cancelled.reasons[1].refused


def _pass_over(plan: Plan) -> None:
    """Move the task on without a run: its slot has one that the task does not know, as after a restored backup."""
    with suppress(TransactionCancelledError):  # another tick moved it on
        transact_with_retries(plan.parts[:1])


def _current_task(task: Task, cancelled: TransactionCancelledError) -> Task | None:
    """The task after a refusal, which carries it; None if it was deleted."""
    refusal = cancelled.reasons[0]
    if not refusal.refused:
        return task
    return task_from_item(refusal.item) if refusal.item else None
