"""Reading many items by their keys."""

import random
import time
from collections.abc import Sequence

from leaseway import aws
from leaseway.errors import UnavailableError
from leaseway.settings import needed
from leaseway.table import Item

_TOGETHER = 100  # BatchGetItem's limit
_ATTEMPTS = 6


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
    left = [{hash_name: {"S": key}} for key in keys]
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


_pause = time.sleep
