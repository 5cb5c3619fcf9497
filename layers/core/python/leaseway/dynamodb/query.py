"""Reading many items by key or all of a table, page by page. The only place that builds such requests."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import msgspec

from leaseway import aws
from leaseway.dynamodb.table import Item
from leaseway.settings import require_setting

_KEYS_A_CALL = 100


class Page(msgspec.Struct, frozen=True):
    """Items of one call, and the key to start after for the next; None at the end."""

    items: list[Item]
    after: Item | None


class Range(msgspec.Struct, frozen=True):
    """A condition on the range key. `upper` is the second bound of BETWEEN, which includes both."""

    name: str
    operator: Literal["<", "<=", ">", ">=", "BETWEEN"]
    value: str | int
    upper: str | int | None = None


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    """The setting that names the table."""
    consistent: bool = False

    def page(self, *, start: Item | None = None, limit: int | None = None) -> Page:
        """One call: up to 1 MB or `limit` keys, from the beginning or after the key `start`."""
        request: dict[str, Any] = {"TableName": require_setting(self.table), "ConsistentRead": self.consistent}
        request |= {"ExclusiveStartKey": start} if start else {}
        request |= {"Limit": limit} if limit else {}
        answer = self._call(request)
        return Page(answer["Items"], answer.get("LastEvaluatedKey"))

    def items(self, *, start: Item | None = None, limit: int | None = None) -> Iterator[Item]:
        """Every item, or at most `limit`. One call per MB; the next one is made when its first item is needed."""
        left = limit
        while True:
            page = self.page(start=start, limit=left)
            yield from page.items
            start = page.after
            left = left - len(page.items) if left else None
            if start is None or left == 0:
                return

    def page_within(self, *, size: int, keys: int, key_of: Callable[[Item], Item], start: Item | None = None) -> Page:
        """Up to `size` items among at most `keys` keys (rounded up to hundreds), for items that are filtered.

        `key_of` returns the key of an item, after which the next page starts if this one ends inside a call.
        """
        matches: list[Item] = []
        for _ in range(0, keys, _KEYS_A_CALL):
            page = self.page(start=start, limit=_KEYS_A_CALL)
            matches += page.items
            if len(matches) > size:
                return Page(matches[:size], key_of(matches[size - 1]))
            start = page.after
            if start is None or len(matches) == size:
                break
        return Page(matches, start)

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class Query(_Reading, frozen=True, kw_only=True):
    """The items that have one hash key, in the order of their range keys."""

    key: tuple[str, str]
    """The hash key's name and its value."""
    range: Range | None = None
    index: str | None = None
    descending: bool = False

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        name, value = self.key
        condition, names, values = "#hash = :hash", {"#hash": name}, {":hash": typed(value)}
        if self.range is not None:
            condition += f" AND {_condition(self.range)}"
            names["#range"] = self.range.name
            values[":range"] = typed(self.range.value)
            values |= {":upper": typed(self.range.upper)} if self.range.upper is not None else {}
        request |= {"IndexName": self.index} if self.index else {}
        answer = aws.client("dynamodb").query(
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=not self.descending,
            **request,
        )
        return cast("dict[str, Any]", answer)


class Scan(_Reading, frozen=True, kw_only=True):
    """Every item of a table, in no order; with `having`, those that have that attribute."""

    having: str | None = None

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.having is not None:
            request |= {
                "FilterExpression": "attribute_exists(#having)",
                "ExpressionAttributeNames": {"#having": self.having},
            }
        return cast("dict[str, Any]", aws.client("dynamodb").scan(**request))


def typed(value: str | int) -> dict[str, str]:
    """A key's value as DynamoDB spells it."""
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def _condition(range_: Range) -> str:
    return "#range BETWEEN :range AND :upper" if range_.operator == "BETWEEN" else f"#range {range_.operator} :range"
