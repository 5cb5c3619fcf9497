"""Tasks of one minute, such as all tenants' at midnight, of which none may miss its slot."""

import copy
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from moto import mock_aws
from moto.dynamodb.models.table import Table

from benchmarks.volume.row import Outcome, Row
from benchmarks.volume.virtual_time import START, VirtualTime
from leaseway import aws, clock
from leaseway.dynamodb.batches import put_items
from leaseway.jobs.table import JobModel
from leaseway.logs import log
from leaseway.tasks import CatchUp, Definition, create_task
from leaseway.tasks import tick as ticking
from leaseway.tasks.model import TaskModel, due_key
from support import tables
from support.as_function import clear_caches

TASKS = 1_500
SHARDS = 4
CALL_SECONDS = 0.015
"""Between a call and its answer."""
CPU_SECONDS = 0.012
"""Of the function's third of a core, for a transaction; the threads share it."""
SEND = 10
TICK_SECONDS = 60
SLOT_SECONDS = 3_600
"""The slot of all tasks, in seconds since the simulation's begin."""
TICK_OFFSET = 45
"""Seconds of the minute at which ticks come: the later, the less time the old policy has."""
LATE_SECONDS = 90

ENVIRONMENT = {
    "JOBS_TABLE": "jobs",
    "TASKS_TABLE": "tasks",
    "HISTORY_TABLE": "history",
    "EXECUTORS_PACKAGE": "worker.executors",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def _outcome(missed: int, tasks: int, latest: float) -> Outcome:
    return Outcome(missed, f"{missed:,} of {tasks:,} slots MISSED, runs up to {max(0, latest):.0f} s late")


# ---- At 883dc55: shard by shard within one budget, a transaction after the other, when the slot has come -------------


class _OldBudget(NamedTuple):
    items: int
    seconds: float = 45


def _before(scale: float) -> Outcome:
    tasks, budget = round(TASKS * scale), _OldBudget(round(1_000 * scale))
    waiting = deque(sorted(range(tasks), key=lambda number: number % SHARDS))
    now, missed, latest = float(TICK_OFFSET), 0, 0.0
    while waiting:
        for age in _settle_in_turn(waiting, now, budget):
            missed += age > LATE_SECONDS
            latest = latest if age > LATE_SECONDS else max(latest, age)
        now += TICK_SECONDS
    return _outcome(missed, tasks, latest)


def _settle_in_turn(waiting: deque[int], begins: float, budget: _OldBudget) -> Iterator[float]:
    """Settle what one tick can; yields the age of each slot then."""
    now = begins
    for settled in range(min(budget.items, len(waiting))):
        if now - begins >= budget.seconds:
            return
        waiting.popleft()
        yield now
        now += CALL_SECONDS + CPU_SECONDS + (CALL_SECONDS if settled % SEND == SEND - 1 else 0)


# ---- Now: the scheduler's own code and the tables' real conditions, in virtual time ----------------------------------


class _VirtualPool:
    """`Pool`, whose threads take turns in virtual time."""

    def __init__(self, time: VirtualTime, threads: int) -> None:
        self._time = time
        self._threads = threads

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Call `function` with each item; returns the answers in the order of the items."""
        left = deque(enumerate(items))
        answers: dict[int, Any] = {}

        def work() -> None:
            while left:
                position, item = left.popleft()
                answers[position] = function(item)

        threads = [self._time.spawn(work) for _ in range(min(self._threads, len(left)))]
        for thread in threads:
            thread.join()
        return [answers[position] for position in sorted(answers)]


def _copy_items_only(value: Any) -> Any:
    """Copy as moto does, but no tables: it keeps them to undo a cancelled transaction, and here none is cancelled."""
    return value if isinstance(value, Table) else copy.deepcopy(value)


class _Costs:
    """Lets virtual time pass for each call: botocore's hook before one."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._cpu_free_at = 0.0

    def __call__(self, model: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            self._cpu_free_at = max(self._time.now, self._cpu_free_at) + CPU_SECONDS
            self._time.sleep(self._cpu_free_at - self._time.now)
        self._time.sleep(CALL_SECONDS)


@contextmanager
def _account(scale: float) -> Iterator[None]:
    """An AWS account in memory with the parts that tasks need."""
    previous = log.level
    log.setLevel(logging.CRITICAL)
    with mock_aws(), patch.dict(os.environ, ENVIRONMENT | {"SCHEDULE_ITEMS": f"{round(5_000 * scale)}"}):
        clear_caches()
        for kind in (tables.jobs, tables.tasks, tables.history):
            aws.client("dynamodb").create_table(**kind(kind.__name__))
        os.environ["TASKS_QUEUE_URL"] = tables.create_queue(aws.client("sqs"), "tasks")
        clear_caches()
        yield
    clear_caches()
    log.setLevel(previous)


def _define_tasks(count: int) -> None:
    """Define hourly tasks that have the same slots, an hour from the simulation's begin."""
    definition = Definition(
        name="0", type="SLEEP", payload={"duration_ms": 1}, every="1h", catch_up=CatchUp.NONE, ttl_ms=60_000
    )
    pattern = TaskModel.read(create_task("tenant", definition).id) or {}
    names = [f"{number:032x}" for number in range(count)]
    TaskModel.remove(pattern["id"]["S"], TaskModel.id.exists())
    put_items("tasks_table", [pattern | {"id": {"S": name}, "due_key": {"S": due_key(name)}} for name in names])


def _now(scale: float) -> Outcome:
    time, tasks, missed = VirtualTime(), round(TASKS * scale), 0
    slot, runs = round((START + SLOT_SECONDS) * 1_000), list[JobModel]()

    def run() -> None:
        nonlocal missed
        _define_tasks(tasks)
        costs = _Costs(time)
        for client in (aws.client("dynamodb"), aws.client("dynamodb", attempts=1), aws.client("sqs")):
            client.meta.events.register("before-call", costs)
        for number in range(-2, 3):
            time.sleep(SLOT_SECONDS + number * TICK_SECONDS + TICK_OFFSET - time.now)
            report = ticking.tick()
            assert report.failed == report.raced == 0  # no transaction was cancelled
            missed += report.missed
        runs.extend(JobModel.scan())

    with (
        _account(scale),
        time.replaces_time_of(),
        patch("moto.dynamodb.models.copy", SimpleNamespace(deepcopy=_copy_items_only)),
        patch.object(clock, "monotonic", lambda: time.now),
        patch.object(ticking, "Pool", lambda threads: _VirtualPool(time, threads)),
    ):
        time.run(run)
    assert len(runs) == tasks - missed  # each slot is either settled by a run or missed
    latest = max((int(run.created_at) - slot for run in runs), default=0) / 1_000
    return _outcome(missed, tasks, latest)


ROW = Row(
    number=4,
    what=f"{TASKS:,} tasks due in one minute, `catch_up=none`",
    target="none missed",
    is_reached=lambda missed: missed == 0,
    before=_before,
    now=_now,
)
