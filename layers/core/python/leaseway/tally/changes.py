"""The jobs table's stream: records become changes of the totals."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leaseway import metrics
from leaseway.counters import DEAD_LETTERS, Change, Group, Steps
from leaseway.dynamodb.table import Item
from leaseway.jobs.job import JobStatus
from leaseway.tally.task_statistics import run_steps

_DEAD_LETTERED = "JobsDeadLettered"

EVER: Mapping[str, str] = {
    "JobsCreated": "created",
    "JobsStarted": "started",
    "JobsCompleted": "completed",
    "JobsFailed": "failed",
    "JobsCancelled": "cancelled",
    "JobsRetried": "retried",
}
"""Metrics that are also counted for good, and what they are called there: short, for a counter's item is billed by its
size."""

_RAN = (JobStatus.COMPLETED, JobStatus.FAILED)


def changes(records: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    """The change of each record (DynamoDB Streams, NEW_AND_OLD_IMAGES), in their order.

    An image that is not a job counts as absent: it must not block its shard, and it is no job to be counted.
    """
    for record in records:
        images = record["dynamodb"]
        old, new = images.get("OldImage"), images.get("NewImage")
        after, told = _group(new), _metrics(old, new)
        yield Change(
            record["eventID"],
            _group(old),
            after,
            {**run_steps(old, new), **_dead_letter_steps(old, new)},
            {f"{EVER[name]}/{after.type}": 1 for name in told if after and name in EVER},
            told,
        )


def note_metrics(change: Change) -> None:
    """Note what a change means for the metrics."""
    for name, value in change.metrics.items():
        by = {"type": change.after.type} if change.after and name != _DEAD_LETTERED else {}
        metrics.note(name, value, **by)


def _dead_letter_steps(old: Item | None, new: Item | None) -> Steps:
    """A job becomes a dead letter, or is one no more: tried again, or removed."""
    before, after = (image is not None and "dead_letter_key" in image for image in (old, new))
    image = new if after else old
    if before == after or image is None:
        return {}
    return {DEAD_LETTERS: {f"{image['status']['S']}|{image['type']['S']}": after - before}}


def _metrics(old: Item | None, new: Item | None) -> Mapping[str, float]:
    """Metrics by name; nothing where the status stays."""
    before, after = _group(old), _group(new)
    if new is None or after is None or (before and before.status == after.status):
        return {}
    noted: dict[str, float] = {_counter(before, JobStatus(after.status)): 1}
    if after.status == JobStatus.RUNNING:
        noted["JobWait"] = _between(_ready_at(old or {}), _time(new, "started_at"))
    if after.status in _RAN and "started_at" in new and before and before.status == JobStatus.RUNNING:
        noted["JobRun"] = _between(_time(new, "started_at"), _time(new, "finished_at"))
    if after.status == JobStatus.FAILED and _time(new, "dead_lettered_at") > _time(old or {}, "dead_lettered_at"):
        noted[_DEAD_LETTERED] = 1
    return noted


def _counter(before: Group | None, after: JobStatus) -> str:
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


def _group(image: Item | None) -> Group | None:
    try:
        return Group(*(image[name]["S"] for name in Group._fields)) if image else None
    except KeyError:
        return None
