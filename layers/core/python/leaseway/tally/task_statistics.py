"""Statistics of tasks: how many runs ended how, and how long they took, by task and by worker.

Counted from the jobs table's stream in the same transactions as the numbers of jobs, so a repeated record counts once.
The totals table has one item per task and one per worker; a summary reads those, however many runs there were.

Durations are stored as a histogram of fixed steps, each 19% wider than the one before; a percentile is the middle of
its step, so it is within 10% of the true one. Runs that ended by themselves (COMPLETED, FAILED) have a duration.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from leaseway import clock
from leaseway.counters import Counters, Steps
from leaseway.dynamodb.query import Query
from leaseway.dynamodb.table import Item
from leaseway.jobs.job import JobStatus
from leaseway.settings import settings

MOST_WORKERS = 100
"""Workers in a summary: the latest by name, since a Lambda worker's name begins with its day."""

_STEPS_PER_OCTAVE = 4
_TIMED = ("COMPLETED", "FAILED")
_TASKS, _WORKERS = "tasks", "workers"


class RunStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a task's or a worker's runs. Durations are milliseconds, None before the first run's end."""

    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    running: int = 0
    mean_ms: float | None = None
    p95_ms: float | None = None

    @property
    def runs(self) -> int:
        """Runs that have ended."""
        return self.successes + self.failures + self.cancelled


class TaskStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of all runs, by task id and by worker. `running` is counted by task."""

    overall: RunStatistics
    by_task: Mapping[str, RunStatistics]
    by_worker: Mapping[str, RunStatistics]


def move_run(old: Item | None, new: Item | None) -> Steps:
    """Count the status that a run enters and no longer the one it leaves; nothing if the job is not a task's run.

    A run that is removed stays counted: it happened. One that is retried by hand is no longer counted as ended.
    """
    if new is None or "task_id" not in new or _status(old) == _status(new):
        return {}
    steps: dict[Counters, Counter[str]] = {}
    for counters, numbers in _numbers_of_run(new):
        steps.setdefault(counters, Counter()).update(numbers)
    for counters, numbers in _numbers_of_run(old) if old else ():
        steps.setdefault(counters, Counter()).subtract(numbers)
    return steps


def read_statistics() -> TaskStatistics:
    """Read the statistics as counted so far, usually a second behind. Two queries: one key per task, one per worker.

    Read units follow tasks and workers: half a unit for about ten tasks.
    """
    tasks = {item["shard"]["S"]: _numbers_in(item) for item in _read(_TASKS)}
    workers = {item["shard"]["S"]: _numbers_in(item) for item in _read(_WORKERS, MOST_WORKERS)}
    overall: Counter[str] = Counter()
    for numbers in tasks.values():
        overall.update(numbers)
    return TaskStatistics(
        overall=_statistics(overall),
        by_task={task: _statistics(numbers) for task, numbers in tasks.items()},
        by_worker={worker: _statistics(numbers) for worker, numbers in workers.items()},
    )


def _status(image: Item | None) -> str | None:
    return image["status"]["S"] if image else None


def _numbers_of_run(image: Item) -> Iterator[tuple[Counters, Counter[str]]]:
    """Yield the counters of a run in this status, and what it adds to each."""
    status = JobStatus(image["status"]["S"])
    numbers = Counter({status.value: 1})
    if status.value in _TIMED and "started_at" in image:
        duration = max(0, int(image["finished_at"]["N"]) - int(image["started_at"]["N"]))
        numbers.update({"ms": duration, "timed": 1, f"b{_bucket(duration)}": 1})
    yield Counters(_TASKS, image["task_id"]["S"]), numbers
    if status.is_terminal and "worker" in image:
        yield Counters(_WORKERS, image["worker"]["S"], settings().history_days), numbers


def _bucket(milliseconds: int) -> int:
    return math.ceil(_STEPS_PER_OCTAVE * math.log2(max(1, milliseconds)))


def _middle(bucket: int) -> float:
    return float(round(2 ** ((bucket - 0.5) / _STEPS_PER_OCTAVE))) if bucket else 1.0


def _read(scope: str, limit: int | None = None) -> Iterator[Item]:
    items = Query(table="totals_table", key=("scope", scope), descending=True).items(limit=limit)
    return (item for item in items if not _has_expired(item))


def _has_expired(item: Item) -> bool:
    # DynamoDB removes expired items days later.
    return "expires_at" in item and int(item["expires_at"]["N"]) * 1000 <= clock.now_ms()


def _numbers_in(item: Item) -> Counter[str]:
    return Counter({name: int(value["N"]) for name, value in item.items() if "N" in value and name != "expires_at"})


def _statistics(numbers: Counter[str]) -> RunStatistics:
    timed = numbers["timed"]
    return RunStatistics(
        successes=numbers["COMPLETED"],
        failures=numbers["FAILED"],
        cancelled=numbers["CANCELLED"],
        running=max(0, numbers["RUNNING"]),
        mean_ms=round(numbers["ms"] / timed, 1) if timed > 0 else None,
        p95_ms=_percentile(numbers, 0.95) if timed > 0 else None,
    )


def _percentile(numbers: Counter[str], part: float) -> float:
    rank = math.ceil(numbers["timed"] * part)
    buckets = sorted((int(name[1:]), count) for name, count in numbers.items() if name[:1] == "b" and count > 0)
    for bucket, count in buckets:
        rank -= count
        if rank <= 0:
            return _middle(bucket)
    return _middle(buckets[-1][0])
