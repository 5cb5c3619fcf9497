"""Totals: how many jobs there are by owner, status and type, counted from the jobs table's stream.

Table `totals`: an item a scope ("all", or "owner#<owner>") and shard, with a number for each "STATUS|TYPE". A reader
adds the shards up: the same few items at ten jobs and at ten million. The items of "all" also hold what never goes
back, as "change/TYPE": how many jobs were ever created, completed and so on.

A stream delivers at least once. So each slice of a batch is one transaction: the counters' ADDs, and a marker that is
put only if absent, under the id of the slice's first record. The marker lists every record of its slice (8 bytes each,
so that 100 still fit into one KB). A repeated delivery may be cut differently, but it starts where an earlier batch
started; there it finds the marker, skips what that covers and goes on:

    first delivery    [a b c][d e f g]         markers: a covers abc, d covers defg
    repeated as       [a b c d e][f g h]       a: skip abc; d: skip de, and put marker f covering fg
                                                f: skip fg; h is new

Only records that change a count take part, so heartbeats (or an event filter that drops them) move no boundary. This
needs the order of the stream: one batch a shard at a time, no second one before the first has succeeded.
"""

import base64
import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from leaseway import aws, clock
from leaseway.dynamodb.query import Query
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_with_retries
from leaseway.settings import needed, settings

SLICE_RECORDS = 100
"""Records a slice holds at most: their ids fill a marker of just under 1 KB, which is 2 write units."""

SLICE_OWNERS = 96
"""Owners, tasks and workers a slice names at most: with the marker and "all" below DynamoDB's 100 items."""

_MARKER_SECONDS = 48 * 3600  # a stream keeps a record for 24 hours, so no delivery is repeated later
_ID_BYTES = 8
_TRIES = 8
_BACKOFF = Backoff(first=0.025)


class Group(NamedTuple):
    """What is counted together."""

    owner: str
    status: str
    type: str


class Counters(NamedTuple):
    """An item of the totals table. With `days`, it goes when nothing was added to it for so long."""

    scope: str
    shard: str
    days: int | None = None


WHOLE = "all"
"""The scope of all jobs."""

DEAD_LETTERS = Counters("dead_letters", "-")
"""Dead letters are rare: one item counts them all."""

Steps = Mapping[Counters, Mapping[str, int]]
"""What to add to which counters, by name."""


class Change(msgspec.Struct, frozen=True):
    """One record of the jobs stream: where its job was counted before, and where it is counted now."""

    event_id: str
    before: Group | None
    after: Group | None
    more: Steps = {}
    """What else it changes, where it is a task's run or a dead letter; only together with its status."""
    ever: Mapping[str, int] = {}
    """What it adds to the counters of all jobs that never go back; only together with its status."""
    metrics: Mapping[str, float] = {}
    """What it means for the metrics."""

    @property
    def digest(self) -> bytes:
        """The record's id as markers keep it."""
        return hashlib.blake2b(self.event_id.encode(), digest_size=_ID_BYTES).digest()


class TallyReport(msgspec.Struct):
    """What one batch did, in records."""

    counted: int = 0
    repeated: int = 0
    unchanged: int = 0


class _RepeatedError(Exception):
    """The slice's first record has a marker: it was counted before, with the records that the marker covers."""

    def __init__(self, covered: list[bytes]) -> None:
        super().__init__("counted before")
        self.covered = covered


def total(owner: str | None = None, status: str | None = None, type_name: str | None = None) -> int:
    """Jobs of an owner (None: of all), in a status and of a type where named.

    One eventually consistent Query of at most `TOTALS_SHARDS` items. Behind the table by the stream's lag, usually
    under a second; jobs past their expiry count until DynamoDB removes them.
    """
    counts = (
        count
        for (counted_status, counted_type), count in _counted(_scope(owner)).items()
        if status in (None, counted_status) and type_name in (None, counted_type)
    )
    # A reader may meet a decrement before the increment that another shard of the counter holds.
    return max(0, sum(counts))


def dead_letters() -> int:
    """How many dead letters there are. One eventually consistent Query of one item."""
    return max(0, sum(_counted(DEAD_LETTERS.scope).values()))


def by_type(owner: str | None = None) -> dict[str, dict[str, int]]:
    """How many jobs of an owner (None: of all) there are of each type, by status. The same one Query as `total`."""
    found: dict[str, dict[str, int]] = {}
    for (status, type_name), count in sorted(_counted(_scope(owner)).items()):
        if count > 0:
            found.setdefault(type_name, {})[status] = count
    return dict(sorted(found.items()))


def stored(scope: str) -> list[Item]:
    """Every item of a scope, as it is now: consistent Queries, one for each MB."""
    return list(Query(table="totals_table", key=("scope", scope), consistent=True).items())


def _counted(scope: str) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for item in Query(table="totals_table", key=("scope", scope)).items():
        for name, value in item.items():
            status, bar, type_name = name.partition("|")
            if bar:
                counts[status, type_name] += int(value["N"])
    return counts


def count(changes: Iterable[Change], counted: Callable[[Change], None] = lambda _: None) -> TallyReport:
    """Count a batch of one stream shard, in the stream's order; what was counted before is not counted again.

    `counted` is told each change that was counted now.

    A transaction for every 100 records or 96 owners: 2 write units for its marker, for "all" and for each owner.
    Runs of tasks add as much for each task and each worker.
    A batch that changes no count writes nothing.

    Raises:
        TransactionCancelledError, UnavailableError, OutcomeUnknownError: still conflicting, throttled or without an
            answer after several tries; the batch may be repeated as it is.
        botocore.exceptions.ClientError: refused.
    """
    given = list(changes)
    pending = [change for change in given if change.before != change.after or change.more]
    report = TallyReport(unchanged=len(given) - len(pending))
    while pending:
        piece = pending[: _slice_length(pending)]
        try:
            _apply(piece)
            report.counted += len(piece)
            for change in piece:
                counted(change)
        except _RepeatedError as earlier:
            piece = _skip(pending, earlier.covered)
            report.repeated += len(piece)
        pending = pending[len(piece) :]
    return report


def _slice_length(changes: Sequence[Change]) -> int:
    named: set[str | Counters] = set()
    for length, change in enumerate(changes[:SLICE_RECORDS]):
        named |= {group.owner for group in (change.before, change.after) if group} | change.more.keys()
        if len(named) > SLICE_OWNERS:
            return length
    return min(len(changes), SLICE_RECORDS)


def _apply(piece: Sequence[Change]) -> None:
    """Count a slice once: the marker and the counters stand or fall together."""
    digests = [change.digest for change in piece]
    shard = str(zlib.crc32(digests[0]) % settings().totals_shards)
    marker = {"Put": {**_put_marker(digests), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
    updates = [{"Update": _addition(counters, deltas)} for counters, deltas in _deltas(piece, shard).items()]
    _transact([marker, *updates])


def _deltas(piece: Sequence[Change], shard: str) -> dict[Counters, Counter[str]]:
    """What to add, by item and counter; an item whose changes cancel out is left out."""
    deltas: defaultdict[Counters, Counter[str]] = defaultdict(Counter)
    for change in piece:
        for counters, added in change.more.items():
            deltas[counters].update(added)
        if change.ever:
            deltas[Counters(WHOLE, shard)].update(change.ever)
        for group, step in ((change.before, -1), (change.after, 1)):
            if group:
                for scope in (_scope(None), _scope(group.owner)):
                    deltas[Counters(scope, shard)][f"{group.status}|{group.type}"] += step
    changed = {key: Counter({name: step for name, step in steps.items() if step}) for key, steps in deltas.items()}
    return {key: steps for key, steps in changed.items() if steps}


def _addition(counters: Counters, deltas: Counter[str]) -> dict[str, Any]:
    numbered = list(enumerate(sorted(deltas.items())))
    addition: dict[str, Any] = {
        "TableName": needed("totals_table"),
        "Key": {"scope": {"S": counters.scope}, "shard": {"S": counters.shard}},
        "UpdateExpression": "ADD " + ", ".join(f"#{n} :{n}" for n, _ in numbered),
        "ExpressionAttributeNames": {f"#{n}": name for n, (name, _) in numbered},
        "ExpressionAttributeValues": {f":{n}": {"N": str(step)} for n, (_, step) in numbered},
    }
    if counters.days is not None:
        addition["UpdateExpression"] += " SET expires_at = :gone"
        addition["ExpressionAttributeValues"][":gone"] = {"N": str(clock.now_ms() // 1000 + counters.days * 86_400)}
    return addition


def _put_marker(digests: Sequence[bytes]) -> dict[str, Any]:
    name = base64.urlsafe_b64encode(digests[0]).rstrip(b"=").decode()
    return {
        "TableName": needed("totals_table"),
        "Item": {
            "scope": {"S": f"event#{name}"},
            "shard": {"S": "-"},
            "covered": {"B": b"".join(digests)},
            "expires_at": {"N": str(clock.now_ms() // 1000 + _MARKER_SECONDS)},
        },
        "ConditionExpression": "attribute_not_exists(#scope)",
        "ExpressionAttributeNames": {"#scope": "scope"},
    }


def _transact(actions: list[Part]) -> None:
    for attempt in _BACKOFF.attempts(_TRIES):
        try:
            transact_with_retries(actions)
            return
        except TransactionCancelledError as cancelled:
            marker = cancelled.reasons[0]
            if marker.refused and marker.item is not None:
                raise _RepeatedError(_covered(marker.item)) from cancelled
            if not cancelled.is_passing or attempt == _TRIES - 1:
                raise


def _covered(marker: Item) -> list[bytes]:
    joined = marker["covered"]["B"]
    return [joined[start : start + _ID_BYTES] for start in range(0, len(joined), _ID_BYTES)]


def _skip(pending: Sequence[Change], covered: Sequence[bytes]) -> list[Change]:
    """The changes at the head of `pending` that a marker covers.

    Where the marker reaches past this batch, the next batch starts inside it: it gets a marker for the rest.
    """
    known = set(covered)
    skipped: list[Change] = []
    for change in pending:
        if change.digest not in known:
            return skipped
        skipped.append(change)
    rest = covered[covered.index(skipped[-1].digest) + 1 :]
    if rest:
        _mark(rest)
    return skipped


def _mark(rest: Sequence[bytes]) -> None:
    try:
        aws.client("dynamodb").put_item(**_put_marker(rest))
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def _scope(owner: str | None) -> str:
    return WHOLE if owner is None else f"owner#{owner}"
