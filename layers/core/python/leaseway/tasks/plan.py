"""Plans: what becomes of a slot, and the one transaction that makes it so. Nothing here reads or writes."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway.dynamodb.table import Part
from leaseway.jobs.job import Job
from leaseway.settings import settings
from leaseway.tasks import history
from leaseway.tasks.model import CatchUp, Overlap, Task, TaskModel, slot_job_id
from leaseway.tasks.runs import LastRun, judge_last_run, new_run, start_run
from leaseway.tasks.schedule import Due


class Verdict(StrEnum):
    """What becomes of a slot."""

    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    RACED = "raced"
    """Another tick settled it, or the task was paused, changed or deleted."""


class Plan(NamedTuple):
    """A slot, what becomes of it, and the parts of the transaction: the task first, a run that starts second."""

    slot: int
    verdict: Verdict
    missed: int
    """Slots that no tick saw in time, this one included if that is the verdict."""
    job: Job | None
    parts: list[Part]


def plan_slot(task: Task, first: int, last: Job | None, now: int) -> Plan:
    """Plan the slots of `task` that have come since slot `first`; `last` is its last run."""
    due = task.schedule.due(first, now)
    verdict = _judge(task, first, due, last, now)
    missed = due.missed + (verdict is Verdict.MISSED)
    job = new_run(task, slot_job_id(task.id, due.slot), due.slot, now) if verdict is Verdict.STARTED else None
    advance = _advance(task, due, missed=missed, skipped=int(verdict is Verdict.SKIPPED), job=job)
    start = start_run(task, job, last, now) if job else []
    plan = Plan(due.slot, verdict, missed, job, [advance, *start])
    plan.parts.extend(_record(plan, task, first, due, now))
    return plan


def plan_run_now(task: Task, job: Job, last: Job | None, now: int) -> list[Part]:
    """The transaction that runs a task by hand. Its schedule goes on as it was."""
    change = TaskModel.change_part(task.id, [TaskModel.last_job_id.set(job.id)], _is_as_read(task))
    return [change, *start_run(task, job, last, now), history.record_run(task, job)]


def _judge(task: Task, first: int, due: Due, last: Job | None, now: int) -> Verdict:
    if task.catch_up is CatchUp.NONE and not _is_in_time(first, due, now):
        return Verdict.MISSED
    if task.overlap is Overlap.SKIP and judge_last_run(last, now) is LastRun.ALIVE:
        return Verdict.SKIPPED
    return Verdict.STARTED


def _is_in_time(first: int, due: Due, now: int) -> bool:
    """Whether a tick saw the slot as early as ticks do.

    If slots are denser than that, an outage leaves a fresh slot behind it in any case: it belongs to the stretch that
    was missed, and the schedule goes on with the next.
    """
    late = settings().late_seconds * 1000
    dense = due.before is not None and due.slot - due.before <= late
    return now - (first if dense else due.slot) <= late


def _advance(task: Task, due: Due, *, missed: int, skipped: int, job: Job | None) -> Part:
    actions: list[Action] = [
        TaskModel.next_run.set(due.next),
        TaskModel.last_slot.set(due.slot),
        TaskModel.missed.add(missed),
        TaskModel.skipped.add(skipped),
    ]
    actions += [TaskModel.last_job_id.set(job.id)] if job else []
    return TaskModel.change_part(task.id, actions, _is_as_read(task) & (TaskModel.next_run == task.next_run))


def _is_as_read(task: Task) -> Condition:
    """No run of the task has started and its definition has not changed since it was read."""
    same_run = (
        TaskModel.last_job_id.does_not_exist()
        if task.last_job_id is None
        else TaskModel.last_job_id == task.last_job_id
    )
    as_read: Condition = same_run & (TaskModel.version == task.version)
    return as_read


def _record(plan: Plan, task: Task, first: int, due: Due, now: int) -> Iterator[Part]:
    """The entries of the history."""
    if plan.verdict is Verdict.MISSED:
        yield history.record_missed(task, first, due.slot, plan.missed, now)
    elif due.missed and due.before:
        yield history.record_missed(task, first, due.before, due.missed, now)
    if plan.verdict is Verdict.SKIPPED:
        yield history.record_skipped(task, due.slot, now)
    if plan.job:
        yield history.record_run(task, plan.job)
