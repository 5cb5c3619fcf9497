"""Statistics of tasks: how many runs ended how, and how long they took, by task and by worker.

Counted from the jobs table's stream together with the totals, in the same transactions, so a repeated record counts
once. An item of the totals table a task, and one a worker: a summary reads those, however many runs there were.

Durations are kept as a histogram of fixed steps, each 19% wider than the one before; a percentile is the middle of its
step, so it is within 10% of the true one. Runs that ended by themselves (COMPLETED, FAILED) have one.
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
"""Workers a summary names: the latest, by name, since a Lambda worker's begins with its day."""

_STEPS_AN_OCTAVE = 4
_TIMED = ("COMPLETED", "FAILED")
_TASKS, _WORKERS = "tasks", "workers"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted of a task's or a worker's runs. Durations are milliseconds, None before the first run's end."""

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


class RunStats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of all runs, by task id and by worker. `running` is counted by task."""

    overall: Figures
    by_task: Mapping[str, Figures]
    by_worker: Mapping[str, Figures]


def run_steps(old: Item | None, new: Item | None) -> Steps:
    """What a change of a job does to the statistics; nothing where the job is no task's run.

    A run that is removed stays counted: it happened. One that is tried again by hand is no longer counted as ended.
    """
    if new is None or "task_id" not in new or _status(old) == _status(new):
        return {}
    steps: dict[Counters, Counter[str]] = {}
    for counters, added in _counted(new):
        steps.setdefault(counters, Counter()).update(added)
    for counters, taken in _counted(old) if old else ():
        steps.setdefault(counters, Counter()).subtract(taken)
    return steps


def run_stats() -> RunStats:
    """The statistics as counted so far, usually a second behind. Two queries: one key a task, one a worker.

    Read units follow tasks and workers: half a unit for about ten tasks.
    """
    tasks = {item["shard"]["S"]: _numbers(item) for item in _items(_TASKS)}
    workers = {item["shard"]["S"]: _numbers(item) for item in _items(_WORKERS, MOST_WORKERS)}
    overall: Counter[str] = Counter()
    for counted in tasks.values():
        overall.update(counted)
    return RunStats(
        overall=_figures(overall),
        by_task={task: _figures(counted) for task, counted in tasks.items()},
        by_worker={worker: _figures(counted) for worker, counted in workers.items()},
    )


def _status(image: Item | None) -> str | None:
    return image["status"]["S"] if image else None


def _counted(image: Item) -> Iterator[tuple[Counters, Counter[str]]]:
    """Where a run in this state is counted."""
    status = JobStatus(image["status"]["S"])
    counted = Counter({status.value: 1})
    if status.value in _TIMED and "started_at" in image:
        taken = max(0, int(image["finished_at"]["N"]) - int(image["started_at"]["N"]))
        counted.update({"ms": taken, "timed": 1, f"b{_bucket(taken)}": 1})
    yield Counters(_TASKS, image["task_id"]["S"]), counted
    if status.is_terminal and "worker" in image:
        yield Counters(_WORKERS, image["worker"]["S"], settings().history_days), counted


def _bucket(milliseconds: int) -> int:
    return math.ceil(_STEPS_AN_OCTAVE * math.log2(max(1, milliseconds)))


def _middle(bucket: int) -> float:
    return float(round(2 ** ((bucket - 0.5) / _STEPS_AN_OCTAVE))) if bucket else 1.0


def _items(scope: str, limit: int | None = None) -> Iterator[Item]:
    items = Query(table="totals_table", key=("scope", scope), descending=True).items(limit=limit)
    return (item for item in items if not _gone(item))


def _gone(item: Item) -> bool:
    return "expires_at" in item and int(item["expires_at"]["N"]) * 1000 <= clock.now_ms()


def _numbers(item: Item) -> Counter[str]:
    held = {name: int(value["N"]) for name, value in item.items() if "N" in value and name != "expires_at"}
    return Counter(held)


def _figures(counted: Counter[str]) -> Figures:
    timed = counted["timed"]
    return Figures(
        successes=counted["COMPLETED"],
        failures=counted["FAILED"],
        cancelled=counted["CANCELLED"],
        running=max(0, counted["RUNNING"]),
        mean_ms=round(counted["ms"] / timed, 1) if timed > 0 else None,
        p95_ms=_percentile(counted, 0.95) if timed > 0 else None,
    )


def _percentile(counted: Counter[str], part: float) -> float:
    rank = math.ceil(counted["timed"] * part)
    buckets = sorted((int(name[1:]), count) for name, count in counted.items() if name[:1] == "b" and count > 0)
    for bucket, count in buckets:
        rank -= count
        if rank <= 0:
            return _middle(bucket)
    return _middle(buckets[-1][0])
