"""Reading and writing many items in few calls."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

from leaseway import aws
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Item
from leaseway.errors import UnavailableError
from leaseway.settings import require_setting

READ_TOGETHER = 100
"""Keys that one BatchGetItem takes."""

_WRITE_TOGETHER = 25  # BatchWriteItem's limit
_TRIES = 6
_BACKOFF = Backoff(first=0.05)

_T = TypeVar("_T")


def read_items(
    table_setting: str, keys: Sequence[str], *, hash_name: str = "id", consistent: bool = False
) -> list[Item]:
    """The items that have those keys, in no order; a key without an item brings nothing.

    One BatchGetItem per hundred keys. Half a read unit per item and 4 KB, a whole one if `consistent`.

    Raises:
        UnavailableError: DynamoDB left some of them out, several times.
    """
    distinct = dict.fromkeys(keys)  # DynamoDB refuses a key that comes twice
    return read_keys(table_setting, [{hash_name: {"S": key}} for key in distinct], consistent=consistent)


def read_keys(table_setting: str, keys: Sequence[Item], *, consistent: bool = False) -> list[Item]:
    """The items of those keys, which must differ; otherwise as `read_items`."""
    table = require_setting(table_setting)
    return [item for part in _parts(keys, READ_TOGETHER) for item in _read_part(table, part, consistent)]


def put_items(table_setting: str, items: Sequence[Item]) -> list[Item]:
    """Put the items, replacing what is there; returns those that the table did not take in several tries.

    One BatchWriteItem per 25 items. It has no conditions, so nothing else may write under these keys.
    """
    unwritten = _write(table_setting, [{"PutRequest": {"Item": item}} for item in items])
    return [request["PutRequest"]["Item"] for request in unwritten]


def delete_items(table_setting: str, keys: Sequence[Item]) -> list[Item]:
    """Delete the items of those keys; returns the keys that the table did not take in several tries.

    One BatchWriteItem per 25 keys. Deleting an item that does not exist is harmless.
    """
    unwritten = _write(table_setting, [{"DeleteRequest": {"Key": key}} for key in keys])
    return [request["DeleteRequest"]["Key"] for request in unwritten]


def _parts(everything: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (everything[start : start + size] for start in range(0, len(everything), size))


def _read_part(table: str, keys: Sequence[Item], consistent: bool) -> list[Item]:
    items: list[Item] = []
    for _ in _BACKOFF.attempts(_TRIES):
        request: dict[str, Any] = {table: {"Keys": keys, "ConsistentRead": consistent}}
        answer = cast("dict[str, Any]", aws.client("dynamodb").batch_get_item(RequestItems=request))
        items += answer["Responses"].get(table, [])
        keys = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        if not keys:
            return items
    raise UnavailableError("the table left out some of the items; try again")


def _write(table_setting: str, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if not requests:
        return []  # a deployment may lack a table that it has nothing to write to
    table = require_setting(table_setting)
    return [request for part in _parts(requests, _WRITE_TOGETHER) for request in _write_part(table, part)]


def _write_part(table: str, requests: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    for _ in _BACKOFF.attempts(_TRIES):
        request: dict[str, Any] = {table: requests}
        answer = cast("dict[str, Any]", aws.client("dynamodb").batch_write_item(RequestItems=request))
        requests = answer.get("UnprocessedItems", {}).get(table, [])
        if not requests:
            break
    return requests
