"""Plans: what becomes of a slot, and the one transaction that makes it so. Nothing here reads or writes.

A plan is built in one pass: the schedule names the slot, `runs` plans the run that starts for it, if one may, and
`history` the entries.
"""

from enum import StrEnum
from typing import NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway.dynamodb.table import Part
from leaseway.jobs.job import Job, JobStatus
from leaseway.settings import settings
from leaseway.tasks import history
from leaseway.tasks.ahead import remove_parts, take_back
from leaseway.tasks.model import CatchUp, Overlap, Task, TaskModel, slot_job_id
from leaseway.tasks.runs import Obstacle, PlannedRun, plan_run
from leaseway.tasks.schedule import Due


class Verdict(StrEnum):
    """What becomes of a slot."""

    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    SET_ASIDE = "set aside"
    """Its run would have no queue, as after the retirement of its job type; or the task cannot be planned."""
    DEFERRED = "deferred"
    """It has not come yet, and its run cannot be created ahead: the last run has not ended, or not begun."""
    RACED = "raced"
    """Another tick settled it, or the task was paused, changed or deleted."""


_OBSTRUCTED = {Obstacle.ALIVE: Verdict.SKIPPED, Obstacle.NO_QUEUE: Verdict.SET_ASIDE}


class Streaks(NamedTuple):
    """How often in a row a task's slots were skipped, and its runs ended otherwise than COMPLETED."""

    skipped: int = 0
    failed: int = 0


class Plan(NamedTuple):
    """A slot, what becomes of it, and the parts of the transaction: the task first, a run that starts second."""

    slot: int
    verdict: Verdict
    missed: int
    """Slots that had no run although none was at work; this one included if that is the verdict."""
    job: Job | None
    parts: list[Part]
    streaks: Streaks


def plan_slot(task: Task, first: int, last: Job | None, now: int) -> Plan:
    """Plan the slots of `task` that have come since slot `first`, or this one ahead; `last` is its last run."""
    due = task.schedule.due(first, max(first, now))
    is_late = task.catch_up is CatchUp.NONE and not _is_in_time(first, due, now)
    run = None if is_late else plan_run(task, slot_job_id(task.id, due.slot), due.slot, last, now)
    is_second_ahead = task.last_slot is not None and task.last_slot > now  # a change takes one run back, not two
    if first > now and (isinstance(run, Obstacle) or is_second_ahead):
        return Plan(first, Verdict.DEFERRED, 0, None, [], Streaks())
    job, start = (run.job, run.parts) if isinstance(run, PlannedRun) else (None, [])
    verdict = Verdict.MISSED if run is None else Verdict.STARTED if isinstance(run, PlannedRun) else _OBSTRUCTED[run]
    missed = due.missed + (verdict in (Verdict.MISSED, Verdict.SET_ASIDE))
    settled = history.SlotRecord(first, due, missed, verdict is Verdict.SKIPPED, job, now)
    streaks = _count_streaks(task, settled, last)
    parts = [_advance(task, settled, streaks), *start, *history.record_slots(task, settled)]
    return Plan(due.slot, verdict, missed, job, parts, streaks)


def plan_run_now(task: Task, job_id: str, last: Job | None, now: int, *, pending: Job | None) -> Plan | Obstacle:
    """Plan the transaction that runs a task by hand. Its schedule goes on as it was.

    A run that was created ahead is taken back (`pending`, before `last`): its slot is settled when it comes.
    """
    base = task if pending is None else take_back(task, pending, now)
    run = plan_run(base, job_id, None, last, now)
    if isinstance(run, Obstacle):
        return run
    streaks = Streaks(task.skipped_in_row, _count_failures(base, last))
    actions, as_read, removal = _replace_last_run(base, job_id), _is_as_read(task), []
    actions += [TaskModel.failed_in_row.set(streaks.failed)]
    if pending is not None and pending.slot is not None:
        actions += [TaskModel.next_run.set(pending.slot), TaskModel.last_slot.set(now)]
        as_read &= TaskModel.next_run == task.next_run
        removal = remove_parts(pending)
    change = TaskModel.change_part(task.id, actions, as_read)
    parts = [change, *run.parts, history.record_run(task, run.job), *removal]
    return Plan(now, Verdict.STARTED, 0, run.job, parts, streaks)


def _is_in_time(first: int, due: Due, now: int) -> bool:
    """Whether a tick saw the slot as early as ticks do.

    If slots are denser than that, an outage leaves a fresh slot behind it in any case: it belongs to the stretch that
    was missed, and the schedule goes on with the next.
    """
    late = settings().late_seconds * 1000
    dense = due.before is not None and due.slot - due.before <= late
    return now - (first if dense else due.slot) <= late


def _count_streaks(task: Task, settled: history.SlotRecord, last: Job | None) -> Streaks:
    if settled.job is not None:
        return Streaks(0, _count_failures(task, last))
    return Streaks(task.skipped_in_row + settled.skipped, task.failed_in_row)


def _count_failures(task: Task, last: Job | None) -> int:
    """Count the runs that failed in a row, once another follows `last`: each counts when the next one starts."""
    if last is None or last.status is JobStatus.COMPLETED:
        return 0
    still_runs = not last.status.is_terminal and task.overlap is Overlap.ALLOW
    has_failed = not still_runs and last.cancelled_by is None
    return task.failed_in_row + has_failed


def _advance(task: Task, settled: history.SlotRecord, streaks: Streaks) -> Part:
    actions: list[Action] = [
        TaskModel.next_run.set(settled.due.next),
        TaskModel.last_slot.set(settled.due.slot),
        TaskModel.missed.add(settled.missed),
        TaskModel.skipped.add(int(settled.skipped)),
        TaskModel.skipped_in_row.set(streaks.skipped),
        TaskModel.failed_in_row.set(streaks.failed),
    ]
    actions += [TaskModel.aside_from.remove()] if task.aside_from is not None else []
    actions += _replace_last_run(task, settled.job.id) if settled.job else []
    return TaskModel.change_part(task.id, actions, _is_as_read(task) & (TaskModel.next_run == task.next_run))


def _replace_last_run(task: Task, job_id: str) -> list[Action]:
    before = TaskModel.run_before.set(task.last_job_id) if task.last_job_id else TaskModel.run_before.remove()
    return [TaskModel.last_job_id.set(job_id), before]


def _is_as_read(task: Task) -> Condition:
    """No run of the task has started and its definition has not changed since it was read."""
    same_run = (
        TaskModel.last_job_id.does_not_exist()
        if task.last_job_id is None
        else TaskModel.last_job_id == task.last_job_id
    )
    as_read: Condition = same_run & (TaskModel.version == task.version)
    return as_read
