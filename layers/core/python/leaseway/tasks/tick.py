"""The tick: every minute, the tasks whose slot has come are settled, one by one.

Any number of ticks may run at once: each slot is settled by one transaction, and a tick that comes second finds the
task further on. What a tick leaves, the next one sees.
"""

from collections.abc import Iterator, Sequence

import msgspec

from leaseway import clock
from leaseway.budget import Budget
from leaseway.dynamodb.batches import READ_TOGETHER, read_items
from leaseway.dynamodb.query import Query, Range
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.table import job_from_item
from leaseway.logs import log
from leaseway.settings import settings
from leaseway.tasks.model import Task, task_from_item
from leaseway.tasks.plan import Verdict
from leaseway.tasks.slots import SettledSlot, settle_slot


class TickReport(msgspec.Struct):
    """What one tick did, in tasks; `missed` is in slots, and `lag_ms` is how long ago the earliest slot came."""

    due: int = 0
    started: int = 0
    skipped: int = 0
    missed: int = 0
    raced: int = 0
    failed: int = 0
    sent: int = 0
    left: bool = False
    lag_ms: int = 0


class _Tick:
    """One tick: its budget, its report and the messages it still has to send."""

    def __init__(self) -> None:
        self.now = clock.now_ms()
        self.report = TickReport()
        self._unsent: list[Job] = []
        self.budget = Budget(settings().schedule_items, settings().schedule_seconds)

    def settle(self, task: Task, last: Job | None) -> None:
        """Settle one task's slot; a failure is logged and does not stop the tick."""
        self.budget.take()
        self.report.due += 1
        self.report.lag_ms = max(self.report.lag_ms, self.now - (task.next_run or self.now))
        try:
            slot = settle_slot(task, last)
        except Exception:
            self.report.failed += 1
            log.exception("slot not settled", extra={"action": "schedule", "task_id": task.id, "slot": task.next_run})
            return
        self._note(task, slot)

    def _note(self, task: Task, slot: SettledSlot) -> None:
        self.report.missed += slot.missed
        self.report.started += slot.verdict is Verdict.STARTED
        self.report.skipped += slot.verdict is Verdict.SKIPPED
        self.report.raced += slot.verdict is Verdict.RACED
        facts = {"action": "schedule", "task_id": task.id, "task": task.name, "missed": slot.missed}
        log.info(f"slot {slot.verdict.value}", extra=facts | {"job_id": slot.job.id if slot.job else None})
        if slot.job:
            self._unsent.append(slot.job)
            if len(self._unsent) >= queue.BATCH:
                self.send()

    def send(self) -> None:
        """Send the messages of the runs that were started."""
        self.report.sent += queue.send([queue.build_message(job, _delay(job)) for job in self._unsent])
        self._unsent.clear()


def tick() -> TickReport:
    """Settle the slots that have come.

    Reads in proportion to what is due: a query a shard, half a read unit a key page, and a consistent read of each due
    task and its last run.
    """
    run = _Tick()
    try:
        for shard in range(settings().due_shards):
            _settle_shard(str(shard), run)
            if run.budget.is_spent:
                run.report.left = True
                break
    finally:
        run.send()
    return run.report


def _settle_shard(shard: str, run: _Tick) -> None:
    for tasks in _due(shard, run):
        runs = _last_runs(tasks)
        for task in tasks:
            if run.budget.is_spent:
                return
            run.settle(task, runs.get(task.last_job_id or ""))


def _due(shard: str, run: _Tick) -> Iterator[Sequence[Task]]:
    query = Query(table="tasks_table", index="due", key=("due_key", shard), range=Range("next_run", "<=", run.now))
    keys = [item["id"]["S"] for item in query.items(limit=run.budget.items_left)]
    for start in range(0, len(keys), READ_TOGETHER):
        items = read_items("tasks_table", keys[start : start + READ_TOGETHER], consistent=True)
        yield sorted((task_from_item(item) for item in items), key=lambda task: task.next_run or run.now)


def _last_runs(tasks: Sequence[Task]) -> dict[str, Job]:
    items = read_items("jobs_table", [task.last_job_id for task in tasks if task.last_job_id], consistent=True)
    found = (job_from_item(item) for item in items)
    return {job.id: job for job in found if job is not None}


def _delay(job: Job) -> int:
    return min(queue.LONGEST_DELAY_SECONDS, clock.seconds_until(job.run_after or 0))
