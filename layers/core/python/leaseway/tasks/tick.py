"""The tick: every minute, the tasks whose slot has come or comes shortly are settled, the earliest slot first.

Any number of ticks may run at once: each slot is settled by one transaction, and a tick that comes second finds that
the task has moved on. What a tick leaves, the next one finds.

The shards of the index of due tasks are merged by slot, so that no shard waits for another. Nothing that fails stops
the rest: a shard that cannot be read, a task that cannot be settled and a queue that takes no message are logged and
counted. Failures of a call are left to the next tick; a task whose slot cannot even be planned is set aside, because it
would otherwise stay in front of all others.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from leaseway import clock
from leaseway.budget import Budget
from leaseway.dynamodb.batches import READ_TOGETHER, read_items
from leaseway.dynamodb.query import Query, Range
from leaseway.dynamodb.table import Item
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.table import job_from_item
from leaseway.logs import log
from leaseway.pool import Pool
from leaseway.settings import settings
from leaseway.tasks.model import Task, task_from_item
from leaseway.tasks.plan import Verdict
from leaseway.tasks.slots import SettledSlot, UnplannableTaskError, set_aside, settle_slot


class TickReport(msgspec.Struct):
    """What one tick did, in tasks; `missed` is in slots, and `lag_ms` is how long ago the earliest slot came."""

    due: int = 0
    started: int = 0
    skipped: int = 0
    missed: int = 0
    deferred: int = 0
    """Slots that have not come yet, and whose run waits for the end of the last one."""
    raced: int = 0
    set_aside: int = 0
    """Tasks whose runs nothing can take, or that cannot be planned."""
    failed: int = 0
    """Tasks that a failed call left to the next tick, and shards that could not be read."""
    skipped_in_row: int = 0
    """Slots that a settled task skipped in a row: the largest number."""
    failed_in_row: int = 0
    """Runs of a settled task that failed in a row: the largest number."""
    sent: int = 0
    left: bool = False
    lag_ms: int = 0
    """Over all shards, whether or not the tick came to that slot."""


class _Due(NamedTuple):
    """A task in the index of due tasks. Sorts by its slot."""

    slot: int
    task_id: str


class _Work(NamedTuple):
    """A task as it was read, and its last run."""

    task: Task
    last: Job | None


class _Tick:
    """One tick: its budget, its threads and its report."""

    def __init__(self, threads: int) -> None:
        self.now = clock.now_ms()
        self._until = self.now + settings().schedule_ahead_seconds * 1000
        self.report = TickReport()
        self.budget = Budget(settings().schedule_items, settings().schedule_seconds)
        self._pool = Pool(threads)

    def find_due(self) -> Iterator[_Due]:
        """Yield the due tasks of all shards, the earliest slot first."""
        due = heapq.merge(*(self._find_in_shard(str(shard)) for shard in range(settings().due_shards)))
        for first in islice(due, 1):
            self.report.lag_ms = max(0, self.now - first.slot)
            yield first
        yield from due

    def _find_in_shard(self, shard: str) -> Iterator[_Due]:
        until = Range("next_run", "<=", self._until)
        query = Query(table="tasks_table", index="due", key=("due_key", shard), range=until)
        try:
            for item in query.items(limit=self.budget.items_left + 1):  # one more shows that some are left
                yield _Due(int(item["next_run"]["N"]), item["id"]["S"])
        except Exception:
            self.report.failed += 1
            log.exception("shard not read", extra={"action": "schedule", "shard": shard})

    def settle(self, due: Sequence[_Due]) -> None:
        """Settle the slots of up to a hundred tasks side by side, then send the messages of the runs that started."""
        self.report.due += len(due)
        try:
            works = self._read(due)
        except Exception:
            self.report.failed += len(due)
            log.exception("tasks not read", extra={"action": "schedule", "tasks": len(due)})
            return
        settled = [slot for slot in self._pool.map(self._settle_one, works) if slot is not None]
        self.report.failed += len(works) - len(settled)
        for slot in settled:
            self._count(slot)
        self._send([slot.job for slot in settled if slot.job])

    def _read(self, due: Sequence[_Due]) -> list[_Work]:
        items = read_items("tasks_table", [each.task_id for each in due], consistent=True)
        tasks = [task for task in map(self._parse, items) if task is not None]
        runs = _read_last_runs(tasks)
        return [_Work(task, runs.get(task.last_job_id or "")) for task in tasks]

    def _parse(self, item: Item) -> Task | None:
        try:
            return task_from_item(item)
        except Exception:
            log.exception("task not readable", extra={"action": "schedule", "task_id": item["id"]["S"]})
            self.report.set_aside += 1
            if "next_run" in item:
                set_aside(item["id"]["S"], int(item["next_run"]["N"]), self.now)
            return None

    def _settle_one(self, work: _Work) -> SettledSlot | None:
        """Settle one task's slot; None if a call failed or no time is left, so that the next tick comes to it again."""
        task = work.task
        facts = {"action": "schedule", "task_id": task.id, "task": task.name, "slot": task.next_run}
        if self.budget.is_spent:
            return None
        try:
            slot = settle_slot(task, work.last)
        except UnplannableTaskError:
            log.exception("task set aside", extra=facts)
            set_aside(task.id, task.next_run or self.now, self.now)
            return SettledSlot(Verdict.SET_ASIDE)
        except Exception:
            log.exception("slot not settled", extra=facts)
            return None
        log.info(f"slot {slot.verdict.value}", extra=facts | _describe(slot))
        return slot

    def _count(self, slot: SettledSlot) -> None:
        self.report.missed += slot.missed
        self.report.started += slot.verdict is Verdict.STARTED
        self.report.skipped += slot.verdict is Verdict.SKIPPED
        self.report.deferred += slot.verdict is Verdict.DEFERRED
        self.report.raced += slot.verdict is Verdict.RACED
        self.report.skipped_in_row = max(self.report.skipped_in_row, slot.streaks.skipped)
        self.report.failed_in_row = max(self.report.failed_in_row, slot.streaks.failed)
        self.report.set_aside += slot.verdict is Verdict.SET_ASIDE

    def _send(self, jobs: Sequence[Job]) -> None:
        calls = [jobs[start : start + queue.BATCH] for start in range(0, len(jobs), queue.BATCH)]
        self.report.sent += sum(self._pool.map(_send_together, calls))


def tick(threads: int | None = None) -> TickReport:
    """Settle the slots that have come, up to `threads` of them side by side; `SCHEDULE_THREADS` by default.

    Reads in proportion to what is due: a query a shard, half a read unit a key page, and a consistent read of each due
    task and its last run.
    """
    run = _Tick(threads or settings().schedule_threads)
    due = run.find_due()
    while together := list(islice(due, min(READ_TOGETHER, max(1, run.budget.items_left)))):
        if run.budget.is_spent:
            run.report.left = True
            break
        run.settle(together)
        run.budget.take(len(together))
    return run.report


def _read_last_runs(tasks: Sequence[Task]) -> dict[str, Job]:
    items = read_items("jobs_table", [task.last_job_id for task in tasks if task.last_job_id], consistent=True)
    runs = (job_from_item(item) for item in items)
    return {run.id: run for run in runs if run is not None}


def _describe(slot: SettledSlot) -> dict[str, object]:
    return {
        "job_id": slot.job.id if slot.job else None,
        "missed": slot.missed,
        "skipped_in_row": slot.streaks.skipped,
        "failed_in_row": slot.streaks.failed,
    }


def _send_together(jobs: Sequence[Job]) -> int:
    """Send the messages of up to ten runs; returns how many were sent. The sweeper sends the others."""
    try:
        return queue.send([queue.build_message(job, _delay(job)) for job in jobs])
    except Exception:
        log.exception("messages not sent", extra={"action": "send", "jobs": [job.id for job in jobs]})
        return 0


def _delay(job: Job) -> int:
    return min(queue.LONGEST_DELAY_SECONDS, clock.seconds_until(job.run_after or 0))
