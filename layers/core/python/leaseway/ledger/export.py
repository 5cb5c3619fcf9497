"""Export: every entry, page by page, amounts as the decimals that people read."""

from typing import Any

import msgspec

from leaseway import aws
from leaseway.ledger.entries import entry_from_item
from leaseway.money import to_decimal
from leaseway.settings import needed, settings

PAGE = 1_000

Key = dict[str, Any]


class ExportPage(msgspec.Struct, frozen=True):
    """Entries with decimal amounts as text, and the key to go on after; None at the end."""

    entries: list[dict[str, Any]]
    after: Key | None


def export(user_id: str | None = None, after: Key | None = None) -> ExportPage:
    """The next page of one user's entries, or of everybody's. A user's come in the order of their versions."""
    request: dict[str, Any] = {"TableName": needed("ledger_table"), "Limit": PAGE, "ConsistentRead": True}
    request |= {"ExclusiveStartKey": after} if after else {}
    client = aws.client("dynamodb")
    if user_id is None:
        # What is not an entry has no balance: the marks of reversed entries share the table.
        page = client.scan(
            **request, FilterExpression="attribute_exists(#b)", ExpressionAttributeNames={"#b": "balance_after"}
        )
    else:
        page = client.query(
            **request,
            KeyConditionExpression="#u = :u",
            ExpressionAttributeNames={"#u": "user_id"},
            ExpressionAttributeValues={":u": {"S": user_id}},
        )
    entries = [_row(msgspec.to_builtins(entry_from_item(item))) for item in page["Items"]]
    return ExportPage(entries, page.get("LastEvaluatedKey"))


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: str(to_decimal(entry[name])) for name in ("amount", "prev_balance", "balance_after")}
    return {**entry, **amounts, "currency": settings().currency}
