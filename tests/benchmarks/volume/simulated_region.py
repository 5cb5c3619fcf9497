"""The jobs table, its live index and the queues in memory, on a clock that each call moves.

The shipped sweep runs on it unchanged: the reads, the conditional write and the SQS client below it are replaced, and
its pool gives the calls that run side by side the same moment.
"""

import heapq
import logging
import os
import zlib
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partialmethod
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path, Value
from pynamodb.expressions.update import Action, RemoveAction, SetAction

from leaseway import aws, clock
from leaseway.dynamodb.query import Page, Query
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.jobs import queue
from leaseway.jobs.content import Content
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, live_key, model_from_job, precedes_message
from leaseway.jobs.transitions import plan_first_look
from leaseway.jobs.upkeep import due_looks
from leaseway.jobs.upkeep import sweep as sweeping
from leaseway.logs import log
from leaseway.pool import Pool
from leaseway.settings import settings

START_MS = 1_767_225_600_000
SHARDS = 16
MINUTE_MS = 60_000

WAITING_SECONDS = 0.010
"""Of any call, until its answer comes. Calls side by side wait at the same time."""
CPU_SECONDS = 0.004
"""Of any call, in a function with half a CPU. Calls side by side share the CPU."""

ENVIRONMENT = {"JOBS_TABLE": "jobs", "JOBS_QUEUE_URL": "jobs", "EXECUTORS_PACKAGE": "worker.executors"}

_T = TypeVar("_T")
_R = TypeVar("_R")


class SimulatedRegion:
    """Everything that a sweep reads or changes."""

    def __init__(self) -> None:
        self.seconds = START_MS / 1000
        self.cpu_seconds = 0.0
        self.items: dict[str, Item] = {}
        self.visible_at: dict[str, int] = {}
        """When the first message of a job could be received (ms), of those that a sweep sent."""
        self.depth = 0
        """Messages that wait in the queue of ordinary jobs."""
        self._looks: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        job = Job(
            id="0", type="SLEEP", payload={}, owner="ann", status=JobStatus.CREATED, ttl_ms=60_000, max_attempts=3,
            created_at=0, updated_at=0, look_at=0,
        )  # fmt: skip
        self._template: Item = model_from_job(job, Content("{}", None)).serialize()

    @property
    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.seconds * 1000)

    def call(self) -> None:
        """Let a call take its time."""
        self.seconds += WAITING_SECONDS + CPU_SECONDS
        self.cpu_seconds += CPU_SECONDS

    def create_job(self, job_id: str, created_at: int, run_after: int | None = None) -> None:
        """Store a job as its creation does, at no cost; its message is the caller's to count."""
        look_at = plan_first_look(run_after or created_at)
        delayed = {} if run_after is None else {"run_after": _number(run_after)}
        times = {"created_at": _number(created_at), "updated_at": _number(created_at)}
        key = live_key(job_id, timed=precedes_message(look_at, run_after))
        self._put(
            {
                **self._template, **times, **delayed, "id": {"S": job_id}, "look_at": _number(look_at),
                "live_key": {"S": key},
            }
        )  # fmt: skip

    def remove_job(self, job_id: str) -> None:
        """Let a job end: nothing looks at it again."""
        self._unindex(self.items.pop(job_id))

    def remove_started_jobs(self) -> None:
        """Let the jobs end whose message has become visible, in a system with workers enough."""
        now = self.now_ms
        for job_id in [
            each for each, visible_at in self.visible_at.items() if visible_at <= now and each in self.items
        ]:
            self.remove_job(job_id)

    def find_due(self, shard: str, until: int, limit: int, after: Item | None = None) -> list[tuple[int, str]]:
        """The looks of a shard that are due, oldest first. One call."""
        self.call()
        looks = self._looks[shard]
        start = 0 if after is None else bisect_right(looks, (int(after["look_at"]["N"]), after["id"]["S"]))
        return looks[start : min(start + limit, bisect_right(looks, (until, "~")))]

    def move_look(self, job_id: str, look_at: int) -> None:
        """Move a job's look within its shard. One call."""
        self.call()
        item = self.items[job_id]
        self._unindex(item)
        self._put({**item, "look_at": _number(look_at)})

    def send(self, job_id: str, delay_seconds: int) -> None:
        """Note the message of a job, at no cost."""
        self.visible_at.setdefault(job_id, self.now_ms + delay_seconds * 1000)

    def change(self, job_id: str, actions: Sequence[Action], condition: Condition) -> Item:
        """`JobModel.change`."""
        self.call()
        item = self.items.get(job_id, {})
        if not _holds(condition, item):
            raise ConditionRefusedError(item or None)
        self._unindex(item)
        changed = dict(item)
        for action in actions:
            _apply(action, changed)
        self._put(changed)
        return changed

    def read_items(self, _: str, keys: Sequence[str], **__: object) -> list[Item]:
        """`read_items`, of at most a hundred keys."""
        self.call()
        return [self.items[key] for key in keys if key in self.items]

    def _put(self, item: Item) -> None:
        self.items[item["id"]["S"]] = item
        if "live_key" in item:
            insort(self._looks[item["live_key"]["S"]], _look(item))

    def _unindex(self, item: Item) -> None:
        looks = self._looks[item["live_key"]["S"]]
        del looks[bisect_right(looks, _look(item)) - 1]

    @contextmanager
    def replaces_cloud(self, scale: float) -> Iterator[None]:
        """Let the project's code run on this region, with limits of that share, while the block runs."""
        limits = {
            "SWEEP_ITEMS": str(max(1, round(settings().sweep_items * scale))),
            "SWEEP_BACKLOG": str(max(1, round(settings().sweep_backlog * scale))),
        }
        level = log.log_level
        log.setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, ENVIRONMENT | limits))
            settings.cache_clear()
            stack.callback(settings.cache_clear)
            stack.callback(log.setLevel, level)
            stack.enter_context(clock.fixed(lambda: self.seconds))
            stack.enter_context(patch.object(clock, "monotonic", lambda: self.seconds))
            stack.enter_context(patch.object(Query, "page", partialmethod(_read_page, self)))
            stack.enter_context(patch.object(due_looks, "read_items", self.read_items))
            stack.enter_context(patch.object(JobModel, "change", self.change))
            stack.enter_context(patch.object(aws, "client", lambda _: _SimulatedSqs(self)))
            sweeping._resume.clear()
            yield


class _SimulatedSqs:
    """The client of SQS, as far as a sweep calls it."""

    def __init__(self, region: SimulatedRegion) -> None:
        self._region = region

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Take every message."""
        self._region.call()
        for entry in request["Entries"]:
            message = msgspec.json.decode(entry["MessageBody"], type=queue.JobMessage)
            self._region.send(message.job_id, entry["DelaySeconds"])
        return {}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        """Say how many messages wait."""
        self._region.call()
        return {"Attributes": {"ApproximateNumberOfMessages": str(self._region.depth)}}


class SimulatedPool(Pool):
    """Runs calls one after the other, each in the moment in which a thread would be free for it."""

    def __init__(self, region: SimulatedRegion, threads: int) -> None:
        super().__init__(1)
        self._region = region
        self._count = threads

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Call `function` with each item; afterwards the clock is where the last thread ends, or the CPU is free."""
        region = self._region
        cpu_free_at = region.seconds - region.cpu_seconds
        threads, answers = [region.seconds] * self._count, []
        for item in items:
            region.seconds = heapq.heappop(threads)
            answers.append(function(item))
            heapq.heappush(threads, region.seconds)
        region.seconds = max(*threads, cpu_free_at + region.cpu_seconds)
        return answers


def _read_page(query: Query, region: SimulatedRegion, *, limit: int, start: Item | None = None) -> Page:
    """`Query.page`, of the live index."""
    assert query.index == "live"
    assert query.range is not None
    looks = region.find_due(query.key[1], int(query.range.value), limit, start)
    keys: list[Item] = [{"id": {"S": job_id}, "look_at": _number(look_at)} for look_at, job_id in looks]
    return Page(keys, keys[-1] if len(keys) == limit else None)


def job_id_in_shard(shard: int, name: str) -> str:
    """An id of that beginning whose job belongs to a shard of the live index."""
    numbers = iter(range(10_000))
    return next(each for n in numbers if zlib.crc32((each := f"{name}-{n}").encode()) % SHARDS == shard)


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _look(item: Item) -> tuple[int, str]:
    return int(item["look_at"]["N"]), item["id"]["S"]


def _apply(action: Action, item: Item) -> None:
    path: Any = action.values[0]
    name = str(path.path[0])
    match action:
        case SetAction(values=(_, Value() as value)):
            item[name] = value.value
        case RemoveAction():
            item.pop(name, None)
        case _:
            raise NotImplementedError(str(action))


def _holds(condition: Condition, item: Item) -> bool:
    if condition.operator == "AND":
        return all(_holds(part, item) for part in condition.values)
    if condition.operator == "=":
        left, right = (_resolve(each, item) for each in condition.values)
        return left == right
    if condition.operator == "attribute_exists":
        return _resolve(condition.values[0], item) is not None
    raise NotImplementedError(str(condition))


def _resolve(operand: Any, item: Item) -> dict[str, Any] | None:
    if isinstance(operand, Path):
        return item.get(str(operand.path[0]))
    value: dict[str, Any] = operand.value
    return value
