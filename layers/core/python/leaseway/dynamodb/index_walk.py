"""Walking a sharded index: its shards merged into one order, read in proportion to what is taken.

All shards sort by the same range key. The walk's order is (range key, shard), within a shard the index's own; a
position in it is therefore one key, whatever the number of shards.
"""

import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import msgspec

from leaseway.dynamodb.query import Query, Range, typed
from leaseway.dynamodb.table import Item


class IndexPosition(msgspec.Struct, frozen=True, array_like=True):
    """One key of an index: the range key, the number of its shard and the job's id."""

    sort: str | int
    shard: int
    id: str


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index of the jobs table, or a table that is one, and the shards to walk."""

    name: str | None
    """None to walk the table itself."""
    table: str = "jobs_table"
    """The setting that names the table."""
    hash_name: str
    range_name: str
    hashes: tuple[str, ...]
    """The hash key of each shard."""
    numeric: bool = False
    """Whether the range key is a number."""
    descending: bool = True
    lowest: str | None = None
    """The lowest range key of the walk; only of an index over text."""
    below: str | None = None
    """The walk has range keys below this one; no key may equal it."""


class _Shard:
    """One shard: keys read and not yet taken, and where to read on."""

    def __init__(self, index: Index, number: int, after: IndexPosition | None) -> None:
        self.read: deque[IndexPosition] = deque()
        self.ended = False
        self._index = index
        self._number = number
        self._query = Query(
            table=index.table,
            index=index.name,
            key=(index.hash_name, index.hashes[number]),
            range=_range(index, number, after),
            descending=index.descending,
        )
        self._start = _start(index, number, after)

    def fetch(self, limit: int) -> int:
        """Read the next `limit` keys at most; returns how many there were. One Query."""
        page = self._query.page(start=self._start, limit=limit)
        self.read.extend(self._position(item) for item in page.items)
        self.ended = page.after is None
        self._start = page.after
        return len(page.items)

    def _position(self, item: Item) -> IndexPosition:
        index = self._index
        sort = item[index.range_name]["N" if index.numeric else "S"]
        return IndexPosition(int(sort) if index.numeric else sort, self._number, item["id"]["S"])


class Walk:
    """Keys of an index in order, from the start or after a position. Reads at most `budget` keys."""

    def __init__(self, index: Index, after: IndexPosition | None, budget: int) -> None:
        self._shards = [_Shard(index, number, after) for number in range(len(index.hashes))]
        self._descending = index.descending
        self._left = budget

    @property
    def ended(self) -> bool:
        """Every key of the index has been taken."""
        return all(shard.ended and not shard.read for shard in self._shards)

    def take(self, count: int) -> list[IndexPosition]:
        """The next `count` keys; fewer where the index or the budget ends."""
        taken: list[IndexPosition] = []
        while len(taken) < count and self._fill(count - len(taken)):
            taken.append(self._next())
        return taken

    def _next(self) -> IndexPosition:
        heads = [shard for shard in self._shards if shard.read]
        # Ties go to the lower shard in both directions: max and min return the first of equals.
        choose = max if self._descending else min
        return choose(heads, key=lambda shard: shard.read[0].sort).read.popleft()

    def _fill(self, wanted: int) -> bool:
        """Read on where the next key is not known yet; returns whether it is known now."""
        mean = wanted / len(self._shards)
        while any(not shard.read and not shard.ended for shard in self._shards):
            # One is empty; those that will be soon are read in the same round.
            low = [shard for shard in self._shards if len(shard.read) <= mean and not shard.ended]
            limit = min(_share(mean), self._left // len(low))
            if limit < 1:
                return False
            self._left -= sum(_side_by_side(low, limit))
        return any(shard.read for shard in self._shards)


def _side_by_side(shards: Sequence[_Shard], limit: int) -> list[int]:
    # One after the other, 16 round trips would be most of the list's latency.
    return list(_pool().map(lambda shard: shard.fetch(limit), shards)) if len(shards) > 1 else [shards[0].fetch(limit)]


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="shard")


def _share(mean: float) -> int:
    """Keys to ask a shard for: its mean part, and three standard deviations so that a second query is rare."""
    return math.ceil(mean + 3 * math.sqrt(mean))


def _start(index: Index, number: int, after: IndexPosition | None) -> Item | None:
    if after is None or number != after.shard:
        return None
    key = {index.hash_name: typed(index.hashes[number]), index.range_name: typed(after.sort)}
    return key | ({"id": typed(after.id)} if index.name is not None else {})


def _range(index: Index, number: int, after: IndexPosition | None) -> Range | None:
    """The part of a shard that is left to walk, as a condition on the range key."""
    low: str | int | None = index.lowest
    high: str | int | None = index.below
    includes_bound = False
    if after is not None:
        # (range key, shard) orders the walk: at the position's own range key, lower shards have been taken whole,
        # higher ones not at all, and its own shard up to the position itself.
        includes_bound = number >= after.shard
        low, high = (low, after.sort) if index.descending else (after.sort, high)
    if low is not None and high is not None:
        # One condition is all there may be, and BETWEEN includes both: keys that name their job are in one shard only.
        return Range(index.range_name, "BETWEEN", low, high)
    if high is not None:
        return Range(index.range_name, "<=" if includes_bound else "<", high)
    if low is not None:
        return Range(index.range_name, ">" if after is not None and not includes_bound else ">=", low)
    return None
