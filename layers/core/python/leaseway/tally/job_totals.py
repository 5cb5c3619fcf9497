"""What a change of a job adds to the numbers of jobs that `jobs.find.totals` reads."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from leaseway.counters import Counters, Steps
from leaseway.dynamodb.table import Item
from leaseway.jobs.find.totals import ALL_JOBS, DEAD_LETTERS, counters_of

CUMULATIVE: Mapping[str, str] = {
    "JobsCreated": "created",
    "JobsStarted": "started",
    "JobsCompleted": "completed",
    "JobsFailed": "failed",
    "JobsCancelled": "cancelled",
    "JobsRetried": "retried",
}
"""Metrics that are also counted for ever, and their names there: short, for a counter's item is billed by its size."""


class Group(NamedTuple):
    """Jobs that are counted together."""

    owner: str
    status: str
    type: str


def group_of(image: Item | None) -> Group | None:
    """Return the group of the job in an image; None if there is no image, or if it is not a job's."""
    try:
        return Group(*(image[name]["S"] for name in Group._fields)) if image else None
    except KeyError:
        return None


def move(before: Group | None, after: Group | None) -> Steps:
    """Move a job from the counters of one group to those of another; None is a job that does not exist."""
    if before == after:
        return {}
    steps: dict[Counters, Counter[str]] = {}
    for group, step in ((before, -1), (after, 1)):
        if group:
            for counters in (ALL_JOBS, counters_of(group.owner)):
                steps.setdefault(counters, Counter())[f"{group.status}|{group.type}"] += step
    return steps


def count_for_ever(metrics: Iterable[str], type_name: str) -> Steps:
    """Count those of the metrics that `CUMULATIVE` names. These counters never decrease."""
    added = {f"{CUMULATIVE[name]}/{type_name}": 1 for name in metrics if name in CUMULATIVE}
    return {ALL_JOBS: added} if added else {}


def move_dead_letter(old: Item | None, new: Item | None) -> Steps:
    """Count a job that becomes a dead letter, or no longer is one: tried again, or removed."""
    before, after = (image is not None and "dead_letter_key" in image for image in (old, new))
    image = new if after else old
    if before == after or image is None:
        return {}
    return {DEAD_LETTERS: {f"{image['status']['S']}|{image['type']['S']}": after - before}}
