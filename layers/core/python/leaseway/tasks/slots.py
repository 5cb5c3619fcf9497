"""Settling slots: one transaction per slot, so that a crash at any point loses no slot and doubles none.

    tick A  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  done, then its message
    tick B  --{task: next_run 12:00 -> 12:05; job of 12:00}-->  refused: the task is at 12:05 already; nothing to do
    by hand --{task: last_job_id j1 -> j2; job j2}----------->  refused if a tick came first; planned again

If the message is lost after the transaction, the sweeper sends it again.
"""

import uuid
from contextlib import suppress
from typing import NamedTuple

from leaseway import clock
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_with_retries
from leaseway.errors import ConflictError, UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.tasks.model import Overlap, Task, TaskModel, TaskNotFoundError, task_from_item
from leaseway.tasks.plan import Plan, Verdict, plan_run_now, plan_slot
from leaseway.tasks.runs import LastRun, judge_last_run, new_run, read_run

_TRIES = 6
_BACKOFF = Backoff(first=0.02)


class AlreadyRunningError(ConflictError):
    """The task is running, and its overlap policy is `skip`."""

    code = "ALREADY_RUNNING"


class SettledSlot(NamedTuple):
    """What became of a slot, the run that needs a message (if one started), and how many slots were missed."""

    verdict: Verdict
    job: Job | None = None
    missed: int = 0


_RACED = SettledSlot(Verdict.RACED)


def settle_slot(task: Task, last: Job | None, *, now: int | None = None) -> SettledSlot:
    """Start, skip or miss the slot that `task` has come to; `last` is the run that its `last_job_id` names.

    One transaction (task, history, job, and under `skip` the last run): 2 write units per item, and those of indexes.
    A refusal brings the task as it is now, and the slot is planned again.

    Raises:
        UnavailableError: others kept changing the task; nothing was written, and the next tick sees it.
        OutcomeUnknownError: the answer was lost; if it was written, the sweeper sends the message.
    """
    for _ in _BACKOFF.attempts(_TRIES):
        moment = clock.now_ms() if now is None else now
        if task.next_run is None or task.next_run > moment:
            return _RACED
        plan = plan_slot(task, task.next_run, last, moment)
        try:
            transact_with_retries(plan.parts)
        except TransactionCancelledError as cancelled:
            if _job_exists(plan, cancelled):
                _pass_over(plan)
                return _RACED
            current = _current_task(task, cancelled)
            if current is None:
                return _RACED
            task, last = current, read_run(current.last_job_id)
        else:
            return SettledSlot(plan.verdict, plan.job, plan.missed)
    raise UnavailableError(f"task {task.id} kept changing")


def start_now(task_id: str) -> Job:
    """Run a task once, now, whatever its schedule says and even while it is paused. Two reads and one transaction.

    Raises:
        TaskNotFoundError: no such task.
        AlreadyRunningError: its last run has not ended and it does not overlap; carries that run's `job_id`.
        UnavailableError: others kept changing the task; nothing was started.
        OutcomeUnknownError: the answer was lost.
    """
    task = read_task(task_id)
    for _ in _BACKOFF.attempts(_TRIES):
        last = read_run(task.last_job_id)
        now = clock.now_ms()
        if task.overlap is Overlap.SKIP and judge_last_run(last, now) is LastRun.ALIVE:
            raise AlreadyRunningError(job_id=task.last_job_id)
        job = new_run(task, uuid.uuid4().hex, None, now)
        try:
            transact_with_retries(plan_run_now(task, job, last, now))
        except TransactionCancelledError as cancelled:
            current = _current_task(task, cancelled)
            if current is None:
                raise TaskNotFoundError(task_id=task_id) from None
            task = current
        else:
            queue.send([queue.build_message(job)])
            return job
    raise UnavailableError(f"task {task_id} kept changing; try again")


def read_task(task_id: str) -> Task:
    """The task, by a consistent read.

    Raises:
        TaskNotFoundError: no such task.
    """
    item = TaskModel.read(task_id)
    if item is None or "list_key" not in item:
        raise TaskNotFoundError(task_id=task_id)
    return task_from_item(item)


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
