"""Counters that count each record of a stream exactly once, although the stream delivers at least once.

Table `totals`: one item of counters per scope and shard. Each slice of a batch is one transaction: the counters' ADDs,
and a marker that is put only if absent, under the id of the slice's first record. The marker lists every record of its
slice (8 bytes each, so that 100 still fit into one KB). A repeated delivery may be cut differently, but it starts where
an earlier batch started; there it finds the marker, skips the records that it covers and goes on:

    first delivery    [a b c][d e f g]         markers: a covers abc, d covers defg
    repeated as       [a b c d e][f g h]       a: skip abc; d: skip de, and put marker f covering fg
                                                f: skip fg; h is new

Only records that change a counter take part, so heartbeats (or an event filter that drops them) move no boundary. This
needs the order of the stream: one batch per shard at a time, no second one before the first has succeeded.
"""

import base64
import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from botocore.exceptions import ClientError

from leaseway import aws, clock
from leaseway.dynamodb.query import Query
from leaseway.dynamodb.table import Item
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled
from leaseway.settings import require_setting, settings

SLICE_RECORDS = 100
"""Records in a slice at most: their ids fill a marker of just under 1 KB, which is 2 write units."""

SLICE_ITEMS = 97
"""Items of counters that a slice changes at most: with the marker below DynamoDB's 100 items."""

_MARKER_SECONDS = 48 * 3600  # a stream keeps a record for 24 hours, so no delivery is repeated later
_ID_BYTES = 8
_TRIES = 8


class Counters(NamedTuple):
    """One item of counters, or a scope that is spread over several items."""

    scope: str
    shard: str | None = None
    """None spreads the scope over `TOTALS_SHARDS` items, so that busy counters take more writes."""
    days: int | None = None
    """The item expires when nothing was added to it for this long; None keeps it."""


Steps = Mapping[Counters, Mapping[str, int]]
"""What to add to which counters, by name."""


class CounterChange(msgspec.Struct, frozen=True):
    """What one record of a stream adds to the counters; nothing if `steps` is empty."""

    event_id: str
    steps: Steps

    @property
    def digest(self) -> bytes:
        """The record's id as markers store it."""
        return hashlib.blake2b(self.event_id.encode(), digest_size=_ID_BYTES).digest()


AnyChange = TypeVar("AnyChange", bound=CounterChange)


class CountReport(msgspec.Struct):
    """What one batch did, in records."""

    counted: int = 0
    repeated: int = 0
    unchanged: int = 0


class _RepeatedError(Exception):
    """The slice's first record has a marker: it was counted before, with the records that the marker covers."""

    def __init__(self, covered: list[bytes]) -> None:
        super().__init__("counted before")
        self.covered = covered


def read_scope(scope: str, *, consistent: bool = False) -> Iterator[Item]:
    """Read every item of counters of a scope. A Query per MB; half a read unit per 4 KB, a whole one if consistent."""
    return Query(table="totals_table", key=("scope", scope), consistent=consistent).items()


def count(changes: Iterable[AnyChange], on_counted: Callable[[AnyChange], None] = lambda _: None) -> CountReport:
    """Count a batch of one stream shard, in the stream's order; records that were counted before are skipped.

    `on_counted` is called with each change that was counted now.

    A transaction per 100 records or 97 items: 2 write units for its marker and for each item that it changes.
    A batch that changes no counter writes nothing.

    Raises:
        UnavailableError, OutcomeUnknownError: still conflicting, throttled or without an answer after several tries;
            the batch may be repeated as it is.
        TransactionCancelledError, botocore.exceptions.ClientError: refused.
    """
    batch = list(changes)
    pending = [change for change in batch if change.steps]
    report = CountReport(unchanged=len(batch) - len(pending))
    while pending:
        piece = pending[: _slice_length(pending)]
        try:
            _apply(piece)
            report.counted += len(piece)
            for change in piece:
                on_counted(change)
        except _RepeatedError as earlier:
            piece = _skip(pending, earlier.covered)
            report.repeated += len(piece)
        pending = pending[len(piece) :]
    return report


def _slice_length(changes: Sequence[CounterChange]) -> int:
    items: set[Counters] = set()
    for length, change in enumerate(changes[:SLICE_RECORDS]):
        items |= change.steps.keys()
        if len(items) > SLICE_ITEMS:
            return length
    return min(len(changes), SLICE_RECORDS)


def _apply(piece: Sequence[CounterChange]) -> None:
    """Count a slice once: either the marker and all counters are written, or nothing."""
    digests = [change.digest for change in piece]
    shard = str(zlib.crc32(digests[0]) % settings().totals_shards)
    marker = {"Put": {**_put_marker(digests), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
    updates = [{"Update": _add(counters, shard, steps)} for counters, steps in _sum_steps(piece).items()]
    transact_until_settled(lambda: [marker, *updates], _judge, tries=_TRIES)


def _sum_steps(piece: Sequence[CounterChange]) -> dict[Counters, Counter[str]]:
    """Sum up what a slice adds, by item and counter; an item whose changes cancel out is left out."""
    sums: defaultdict[Counters, Counter[str]] = defaultdict(Counter)
    for change in piece:
        for counters, steps in change.steps.items():
            sums[counters].update(steps)
    changed = {counters: Counter({n: step for n, step in steps.items() if step}) for counters, steps in sums.items()}
    return {counters: steps for counters, steps in changed.items() if steps}


def _add(counters: Counters, shard: str, steps: Counter[str]) -> dict[str, Any]:
    """Build the update of one item; `shard` is this slice's part of a scope that is spread."""
    numbered = list(enumerate(sorted(steps.items())))
    update: dict[str, Any] = {
        "TableName": require_setting("totals_table"),
        "Key": {"scope": {"S": counters.scope}, "shard": {"S": counters.shard or shard}},
        "UpdateExpression": "ADD " + ", ".join(f"#{n} :{n}" for n, _ in numbered),
        "ExpressionAttributeNames": {f"#{n}": name for n, (name, _) in numbered},
        "ExpressionAttributeValues": {f":{n}": {"N": str(step)} for n, (_, step) in numbered},
    }
    if counters.days is not None:
        update["UpdateExpression"] += " SET expires_at = :expires_at"
        expires_at = clock.now_ms() // 1000 + counters.days * 86_400
        update["ExpressionAttributeValues"][":expires_at"] = {"N": str(expires_at)}
    return update


def _put_marker(digests: Sequence[bytes]) -> dict[str, Any]:
    name = base64.urlsafe_b64encode(digests[0]).rstrip(b"=").decode()
    return {
        "TableName": require_setting("totals_table"),
        "Item": {
            "scope": {"S": f"event#{name}"},
            "shard": {"S": "-"},
            "covered": {"B": b"".join(digests)},
            "expires_at": {"N": str(clock.now_ms() // 1000 + _MARKER_SECONDS)},
        },
        "ConditionExpression": "attribute_not_exists(#scope)",
        "ExpressionAttributeNames": {"#scope": "scope"},
    }


def _judge(cancelled: TransactionCancelledError) -> None:
    marker = cancelled.reasons[0]
    if marker.refused and marker.item is not None:
        raise _RepeatedError(_covered_by(marker.item)) from cancelled
    if not cancelled.is_passing:
        raise cancelled


def _covered_by(marker: Item) -> list[bytes]:
    joined = marker["covered"]["B"]
    return [joined[start : start + _ID_BYTES] for start in range(0, len(joined), _ID_BYTES)]


def _skip(pending: Sequence[AnyChange], covered: Sequence[bytes]) -> list[AnyChange]:
    """Return the changes at the head of `pending` that a marker covers.

    If the marker reaches past this batch, the next batch starts inside it: it gets a marker for the rest.
    """
    known = set(covered)
    skipped: list[AnyChange] = []
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
