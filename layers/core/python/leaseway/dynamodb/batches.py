"""Reading and writing many items in few calls."""

import random
import time
from collections.abc import Sequence

from leaseway import aws
from leaseway.dynamodb.table import Item
from leaseway.errors import UnavailableError
from leaseway.settings import needed

_TOGETHER = 100  # BatchGetItem's limit
_WRITTEN_TOGETHER = 25  # BatchWriteItem's
_ATTEMPTS = 6

_Request = dict[str, dict[str, Item]]


def read_items(
    table_setting: str, keys: Sequence[str], *, hash_name: str = "id", consistent: bool = False
) -> list[Item]:
    """The items that have those keys, in no order; a key without an item brings nothing.

    One BatchGetItem for a hundred keys. Half a read unit an item and 4 KB, a whole one where `consistent`.

    Raises:
        UnavailableError: DynamoDB kept some of them back, several times.
    """
    table = needed(table_setting)
    items: list[Item] = []
    left = [{hash_name: {"S": key}} for key in dict.fromkeys(keys)]  # a key that comes twice is refused
    for attempt in range(_ATTEMPTS + len(left) // _TOGETHER):
        if not left:
            return items
        if attempt:
            _pause(random.uniform(0, 0.02 * 2 ** min(attempt, _ATTEMPTS)))  # noqa: S311 - jitter, not a secret
        wanted = {table: {"Keys": left[:_TOGETHER], "ConsistentRead": consistent}}
        answer = aws.client("dynamodb").batch_get_item(RequestItems=wanted)
        items += answer["Responses"].get(table, [])
        left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []) + left[_TOGETHER:]
    if left:
        raise UnavailableError("the table kept part of what was asked for back; try again")
    return items


def put_items(table_setting: str, items: Sequence[Item]) -> list[Item]:
    """Put the items, whatever is there; returns those that the table did not take in several tries.

    One BatchWriteItem for 25 items. It has no conditions, so nothing else may write under these keys.
    """
    return [put["PutRequest"]["Item"] for put in _write(table_setting, [{"PutRequest": {"Item": i}} for i in items])]


def delete_items(table_setting: str, keys: Sequence[Item]) -> list[Item]:
    """Delete the items of those keys; returns the keys that the table did not take in several tries.

    One BatchWriteItem for 25 keys. Deleting what is not there is harmless.
    """
    return [
        gone["DeleteRequest"]["Key"] for gone in _write(table_setting, [{"DeleteRequest": {"Key": k}} for k in keys])
    ]


def _write(table_setting: str, requests: Sequence[_Request]) -> list[_Request]:
    parts = [requests[start : start + _WRITTEN_TOGETHER] for start in range(0, len(requests), _WRITTEN_TOGETHER)]
    return [left for part in parts for left in _write_part(needed(table_setting), part)]


def _write_part(table: str, requests: Sequence[_Request]) -> Sequence[_Request]:
    left = requests
    for attempt in range(_ATTEMPTS):
        if attempt:
            _pause(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter, not a secret
        answer = aws.client("dynamodb").batch_write_item(RequestItems={table: left})
        left = answer.get("UnprocessedItems", {}).get(table, [])
        if not left:
            break
    return left


_pause = time.sleep
