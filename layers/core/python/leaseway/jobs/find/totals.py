"""Numbers of jobs by owner, status and type, as the tally function has counted them from the jobs table's stream.

Items of the table `totals`, one per scope ("all", or "owner#<owner>") and shard, with a number for each "STATUS|TYPE".
A reader adds the shards up: the same few items at ten jobs and at ten million. The items of "all" also hold numbers
that never decrease, as "change/TYPE": how many jobs were ever created, completed and so on.

The numbers are behind the jobs by the stream's lag, usually under a second; jobs past their expiry count until DynamoDB
removes them.
"""

from collections import Counter

from leaseway.counters import Counters, read_scope

ALL_JOBS = Counters("all")

DEAD_LETTERS = Counters("dead_letters", "-")
"""Dead letters are rare: one item counts them all."""


def counters_of(owner: str | None) -> Counters:
    """The counters of an owner's jobs; of all jobs if None."""
    return ALL_JOBS if owner is None else Counters(f"owner#{owner}")


def count_jobs(owner: str | None = None, status: str | None = None, type_name: str | None = None) -> int:
    """How many jobs an owner has (all owners if None), in a status and of a type if given.

    One eventually consistent Query of at most `TOTALS_SHARDS` items.
    """
    counts = (
        number
        for (counted_status, counted_type), number in _read_counts(counters_of(owner)).items()
        if status in (None, counted_status) and type_name in (None, counted_type)
    )
    # A reader may see a decrement before the increment that another shard of the counter holds.
    return max(0, sum(counts))


def count_dead_letters() -> int:
    """How many dead letters there are. One eventually consistent Query of one item."""
    return max(0, sum(_read_counts(DEAD_LETTERS).values()))


def count_by_type(owner: str | None = None) -> dict[str, dict[str, int]]:
    """How many jobs of each type an owner has (all owners if None), by status. The same one Query as `count_jobs`."""
    by_type: dict[str, dict[str, int]] = {}
    for (status, type_name), number in sorted(_read_counts(counters_of(owner)).items()):
        if number > 0:
            by_type.setdefault(type_name, {})[status] = number
    return dict(sorted(by_type.items()))


def _read_counts(counters: Counters) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for item in read_scope(counters.scope):
        for name, value in item.items():
            status, bar, type_name = name.partition("|")
            if bar:
                counts[status, type_name] += int(value["N"])
    return counts
