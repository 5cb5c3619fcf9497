"""A meter for AWS calls: how many, and what DynamoDB would bill for them, indexes, refusals and transactions included.

    with meter_calls() as meter:
        change_balance("1", -200, request_id="r1")
    assert meter.count("dynamodb") == 1              # calls on the wire, SDK retries counted too
    assert meter.writes("accounts") == 1             # item writes, granted or refused
    assert meter.write_units("accounts") == 1        # base table and indexes; `.by_index()` takes them apart
    assert meter.read_units() == 0

The block starts with fresh clients (`leaseway.aws.forget()`), so everything that takes its client from
`leaseway.aws` is seen: pynamodb models, botocore clients, threads. It works under moto and against a local engine.
Neither engine's own ConsumedCapacity is used: moto's is a constant, MiniStack's leaves out the size of what a query
read. Units are computed from the items themselves, read before and after each call through a client that is not
metered, so a figure is exact as long as nothing else writes the same items at the same time.

What runs in another process (a function of the local cloud) is out of a hook's sight. For that, feed the table's
stream to `units_of_change(old, new, table)`: applied writes only, refused ones leave no record.

The rules, as DynamoDB bills (on demand and provisioned alike):
- a write costs its larger image, old or new, a unit each begun KB, at least 1; a transaction's item costs double;
- a refused condition costs the item that refused it, at least 1, and no index; a cancelled transaction, every item;
- an index costs 1 for an entry added, removed or changed in a projected attribute, 2 if its key changed;
  in a transaction, too, the index part is billed once (it is written asynchronously);
- a consistent read costs 1 a begun 4 KB, an eventual one half, at least for 1 byte; a Query adds up what it looked at
  before it rounds, a BatchGetItem rounds each item.
"""

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import botocore.session

from leaseway import aws

Item = dict[str, dict[str, Any]]
Table = dict[str, Any]

_REFUSED = ("ConditionalCheckFailedException", "TransactionCanceledException")


@dataclass(frozen=True)
class Charge:
    """What one item of one call costs one table or index (`index` None is the table itself)."""

    table: str
    index: str | None
    read_units: float = 0.0
    write_units: float = 0.0


@dataclass
class Call:
    """One request on the wire."""

    service: str
    operation: str
    charges: list[Charge] = field(default_factory=list)
    error: str | None = None
    keys: int = 0
    """Items a read looked at (a Query's ScannedCount)."""


class Meter:
    """The calls of one `meter_calls()` block."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def count(self, service: str | None = None, operation: str | None = None) -> int:
        """Requests on the wire, of one service and one operation if they are named."""
        return sum(service in (None, call.service) and operation in (None, call.operation) for call in self.calls)

    def operations(self) -> Counter[str]:
        """Requests by "service.Operation"."""
        return Counter(f"{call.service}.{call.operation}" for call in self.calls)

    def writes(self, table: str | None = None) -> int:
        """Item writes at tables (not their indexes), granted or refused."""
        return sum(charge.write_units > 0 and charge.index is None for charge in self._charges(table))

    def write_units(self, table: str | None = None) -> float:
        """Write units, of one table with its indexes if it is named."""
        return sum(charge.write_units for charge in self._charges(table))

    def read_units(self, table: str | None = None) -> float:
        """Read units, of one table with its indexes if it is named."""
        return sum(charge.read_units for charge in self._charges(table))

    def keys(self) -> int:
        """Items and index entries that reads looked at."""
        return sum(call.keys for call in self.calls)

    def by_index(self, table: str) -> dict[str | None, float]:
        """Write units of a table by index; None is the table itself."""
        units: Counter[str | None] = Counter()
        for charge in self._charges(table):
            units[charge.index] += charge.write_units  # type: ignore[assignment]
        return {index: amount for index, amount in units.items() if amount}

    def _charges(self, table: str | None) -> Iterator[Charge]:
        return (charge for call in self.calls for charge in call.charges if table in (None, charge.table))


@contextmanager
def meter_calls() -> Iterator[Meter]:
    """Count every call made through `leaseway.aws` inside the block."""
    aws.forget()
    hook = _Hook(Meter())
    events = aws.session().get_component("event_emitter")
    events.register("request-created", hook.note_request)
    events.register("response-received", hook.note_answer)
    try:
        yield hook.meter
    finally:
        events.unregister("request-created", hook.note_request)
        events.unregister("response-received", hook.note_answer)
        aws.forget()


def size_of(item: Item | None) -> int:
    """Bytes of an item as DynamoDB counts them: names and values in UTF-8, numbers by their digits."""
    return sum(len(name.encode()) + _size_of_value(value) for name, value in (item or {}).items())


def units_of_change(old: Item | None, new: Item | None, table: Table, *, factor: int = 1) -> list[Charge]:
    """The charges of an applied write. `table` is DescribeTable's "Table"; `factor` is 2 inside a transaction.

    Feed it a stream record's OldImage and NewImage to bill what another process wrote.
    """
    name = table["TableName"]
    charges = [Charge(name, None, write_units=factor * _kilobytes(max(size_of(old), size_of(new))))]
    for index in table.get("GlobalSecondaryIndexes", []):
        units = _index_units(_entry(old, index, table), _entry(new, index, table), _key_names(index))
        if units:
            charges.append(Charge(name, index["IndexName"], write_units=units))
    return charges


def describe_table(client: Any, name: str) -> Table:
    """DescribeTable's "Table"."""
    return dict(client.describe_table(TableName=name)["Table"])


def _size_of_value(value: dict[str, Any]) -> int:
    kind, content = next(iter(value.items()))
    if kind == "N":
        digits = len(Decimal(content).normalize().as_tuple().digits)
        return math.ceil(digits / 2) + 1 + (content.startswith("-"))
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size_of_value(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + _size_of_value(inner) for inner in content)
    if kind in ("SS", "NS", "BS"):
        return sum(_size_of_value({kind[0]: inner}) for inner in content)
    return 1 if kind in ("BOOL", "NULL") else len(content.encode() if isinstance(content, str) else content)


def _kilobytes(size: int) -> int:
    return max(1, math.ceil(size / 1024))


def _key_names(keyed: Table) -> list[str]:
    return [key["AttributeName"] for key in keyed["KeySchema"]]


def _entry(item: Item | None, index: Table, table: Table) -> Item | None:
    """The item's entry in an index; None if it has none."""
    if item is None or any(name not in item for name in _key_names(index)):
        return None
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        return item
    projected_names = {*_key_names(index), *_key_names(table), *projection.get("NonKeyAttributes", [])}
    return {name: value for name, value in item.items() if name in projected_names}


def _index_units(old: Item | None, new: Item | None, keys: list[str]) -> int:
    if old == new:
        return 0
    if old and new and any(old[name] != new[name] for name in keys):
        return _kilobytes(size_of(old)) + _kilobytes(size_of(new))
    return _kilobytes(max(size_of(old), size_of(new)))


def _read_units(size: int, consistent: bool) -> float:
    return max(1, math.ceil(size / 4096)) * (1.0 if consistent else 0.5)


TableKey = tuple[str, Item]
"""A table's name and an item's key."""


class _Hook:
    """botocore's event handlers. A thread's request and its answer follow each other, so a thread local pairs them."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._client = botocore.session.get_session().create_client("dynamodb")
        self._tables: dict[str, Table] = {}
        self._thread = threading.local()

    def note_request(self, request: Any, operation_name: str, **_: Any) -> None:
        body = request.data
        self._thread.request = {}
        if "X-Amz-Target" in request.headers and b"DynamoDB" in _bytes(request.headers["X-Amz-Target"]):
            self._thread.request = json.loads(body)
            self._thread.before = self._read_images(self._list_written_keys(operation_name))

    def note_answer(self, event_name: str, parsed_response: dict[str, Any] | None, **_: Any) -> None:
        _, service, operation = event_name.split(".")
        error = (parsed_response or {}).get("Error", {}).get("Code")
        call = Call(service, operation, error=error)
        if service == "dynamodb" and (error is None or error in _REFUSED):
            written = self._list_written_keys(operation)
            if written:
                call.charges = self._write_charges(operation, written, refused=error is not None)
            elif parsed_response:
                self._read(call, parsed_response)
        self.meter.calls.append(call)

    def _list_written_keys(self, operation: str) -> list[TableKey]:
        request = self._thread.request
        match operation:
            case "PutItem":
                return [self._table_key(request["TableName"], request["Item"])]
            case "UpdateItem" | "DeleteItem":
                return [self._table_key(request["TableName"], request["Key"])]
            case "TransactWriteItems":
                actions = [action for item in request["TransactItems"] for action in item.values()]
                return [self._table_key(action["TableName"], action.get("Key") or action["Item"]) for action in actions]
            case "BatchWriteItem":
                puts = [(name, put) for name, writes in request["RequestItems"].items() for put in writes]
                return [
                    self._table_key(
                        name, put["PutRequest"]["Item"] if "PutRequest" in put else put["DeleteRequest"]["Key"]
                    )
                    for name, put in puts
                ]
        return []

    def _table_key(self, table: str, item: Item) -> TableKey:
        name = table.rsplit("/", 1)[-1]
        return name, {key: item[key] for key in _key_names(self._table(name))}

    def _read_images(self, touched: list[TableKey]) -> list[Item | None]:
        """The items of those keys, None if there is none."""
        images: dict[tuple[str, str], Item] = {}
        for start in range(0, len(touched), 100):
            requests: dict[str, Any] = {}
            for table, key in touched[start : start + 100]:
                requests.setdefault(table, {"Keys": [], "ConsistentRead": True})["Keys"].append(key)
            while requests:
                answer = self._client.batch_get_item(RequestItems=requests)
                for table, items in answer["Responses"].items():
                    images |= {(table, _identity(self._table_key(table, item)[1])): item for item in items}
                requests = answer.get("UnprocessedKeys", {})
        return [images.get((table, _identity(key))) for table, key in touched]

    def _write_charges(self, operation: str, written: list[TableKey], *, refused: bool) -> list[Charge]:
        factor = 2 if operation == "TransactWriteItems" else 1
        before = self._thread.before
        if refused:
            return [
                Charge(table, None, write_units=factor * _kilobytes(size_of(old)))
                for (table, _), old in zip(written, before, strict=True)
            ]
        after = self._read_images(written)
        return [
            charge
            for (table, _), old, new in zip(written, before, after, strict=True)
            for charge in units_of_change(old, new, self._table(table), factor=factor)
        ]

    def _read(self, call: Call, answer: dict[str, Any]) -> None:
        request = self._thread.request
        match call.operation:
            case "GetItem":
                item = self._read_images([self._table_key(request["TableName"], request["Key"])])[0]
                units = _read_units(size_of(item), request.get("ConsistentRead", False))
                call.charges, call.keys = [Charge(request["TableName"], None, read_units=units)], 1
            case "BatchGetItem":
                self._read_batch(call, request, answer)
            case "TransactGetItems":
                gets = [
                    self._table_key(entry["Get"]["TableName"], entry["Get"]["Key"])
                    for entry in request["TransactItems"]
                ]
                sizes = zip(gets, self._read_images(gets), strict=True)
                call.charges = [
                    Charge(table, None, read_units=2 * _read_units(size_of(item), True)) for (table, _), item in sizes
                ]
                call.keys = len(gets)
            case "Query" | "Scan":
                self._read_range(call, request)

    def _read_batch(self, call: Call, request: dict[str, Any], answer: dict[str, Any]) -> None:
        for table, keys_and_options in request["RequestItems"].items():
            skipped = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            keys = [self._table_key(table, key) for key in keys_and_options["Keys"] if key not in skipped]
            consistent = keys_and_options.get("ConsistentRead", False)
            units = sum(_read_units(size_of(item), consistent) for item in self._read_images(keys))
            call.charges.append(Charge(table, None, read_units=units))
            call.keys += len(keys)

    def _read_range(self, call: Call, request: dict[str, Any]) -> None:
        # What a filter or a projection hides was read and is billed: ask again without them.
        hiding = ("FilterExpression", "ProjectionExpression", "Select")
        whole = {name: value for name, value in request.items() if name not in hiding}
        items, call.keys = self._read_without_filters(call.operation, whole)
        units = _read_units(sum(map(size_of, items)), request.get("ConsistentRead", False))
        call.charges = [Charge(request["TableName"], request.get("IndexName"), read_units=units)]

    def _read_without_filters(self, operation: str, request: dict[str, Any]) -> tuple[list[Item], int]:
        names, values = "ExpressionAttributeNames", "ExpressionAttributeValues"
        text = request.get("KeyConditionExpression", "")
        # An engine refuses names and values that no expression uses; the filter's own go with the filter.
        for placeholders in (names, values):
            used = {name: value for name, value in request.get(placeholders, {}).items() if _mentions(text, name)}
            request = (
                {**request, placeholders: used}
                if used
                else {key: v for key, v in request.items() if key != placeholders}
            )
        answer = self._client.query(**request) if operation == "Query" else self._client.scan(**request)
        return answer["Items"], answer["ScannedCount"]

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = describe_table(self._client, name)
        return self._tables[name]


def _identity(key: Item) -> str:
    return repr(sorted(key.items()))


def _mentions(expression: str, name: str) -> bool:
    words = expression.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return name in words


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
