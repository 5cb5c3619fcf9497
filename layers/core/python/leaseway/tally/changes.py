"""The jobs table's stream: what each record adds to the counters, and what it means for the metrics."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leaseway import metrics
from leaseway.counters import CounterChange, Counters, Steps
from leaseway.dynamodb.table import Item
from leaseway.jobs.job import JobStatus
from leaseway.jobs.order_limit import move_order
from leaseway.tally.job_totals import Group, count_for_ever, group_of, move, move_dead_letter
from leaseway.tally.task_statistics import move_run

_DEAD_LETTERED, _FAILURES = "JobsDeadLettered", "JobFailures"
_OF_THE_STACK = frozenset({_DEAD_LETTERED, _FAILURES})
_RAN = (JobStatus.COMPLETED, JobStatus.FAILED)


class JobChange(CounterChange, frozen=True):
    """A record of the jobs stream."""

    type_name: str | None
    metrics: Mapping[str, float]
    """By name; empty if the status stayed."""


def read_changes(records: Iterable[Mapping[str, Any]]) -> Iterator[JobChange]:
    """The change of each record (DynamoDB Streams, NEW_AND_OLD_IMAGES), in their order.

    An image that is not a job counts as absent: it must not block its shard.
    """
    for record in records:
        images = record["dynamodb"]
        old, new = images.get("OldImage"), images.get("NewImage")
        before, after = group_of(old), group_of(new)
        noted = _metrics_of(old, new)
        steps = _add_up(
            move(before, after),
            count_for_ever(noted, after.type) if after else {},
            move_run(old, new),
            move_dead_letter(old, new),
            move_order(old, new) if before else {},
        )
        yield JobChange(record["eventID"], steps, after.type if after else None, noted)


def note_metrics(change: JobChange) -> None:
    """Note the metrics of a change."""
    for name, value in change.metrics.items():
        by = {"type": change.type_name} if change.type_name and name not in _OF_THE_STACK else {}
        metrics.note(name, value, **by)


def _add_up(*parts: Steps) -> Steps:
    sums: dict[Counters, Counter[str]] = {}
    for part in parts:
        for counters, steps in part.items():
            sums.setdefault(counters, Counter()).update(steps)
    return sums


def _metrics_of(old: Item | None, new: Item | None) -> Mapping[str, float]:
    before, after = group_of(old), group_of(new)
    if new is None or after is None or (before and before.status == after.status):
        return {}
    values: dict[str, float] = {_transition(before, JobStatus(after.status)): 1}
    if after.status == JobStatus.RUNNING:
        values["JobWait"] = _between(_ready_at(old or {}), _time(new, "started_at"))
    if after.status in _RAN and "started_at" in new and before and before.status == JobStatus.RUNNING:
        values["JobRun"] = _between(_time(new, "started_at"), _time(new, "finished_at"))
    if after.status in _RAN:
        values[_FAILURES] = after.status == JobStatus.FAILED
    if after.status == JobStatus.FAILED and _time(new, "dead_lettered_at") > _time(old or {}, "dead_lettered_at"):
        values[_DEAD_LETTERED] = 1
    return values


def _transition(before: Group | None, after: JobStatus) -> str:
    """The metric that counts jobs which go from `before` to `after`."""
    if after is JobStatus.CREATED and before:
        return "JobsRetried"
    return "JobsStarted" if after is JobStatus.RUNNING else f"Jobs{after.value.capitalize()}"


def _ready_at(waiting: Item) -> int:
    return max(_time(waiting, "updated_at"), _time(waiting, "run_after"))


def _time(image: Item, name: str) -> int:
    return int(image[name]["N"]) if name in image else 0


def _between(start: int, end: int) -> int:
    # The clocks of two environments differ by a little.
    return max(0, end - start) if start else 0
