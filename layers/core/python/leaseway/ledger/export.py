"""Exports the ledger page by page, with amounts as decimal text."""

from typing import Any

import msgspec

from leaseway.dynamodb.query import Query, Scan
from leaseway.dynamodb.table import Item
from leaseway.ledger.entries import entry_from_item
from leaseway.money import to_decimal
from leaseway.settings import settings

PAGE = 1_000


class ExportPage(msgspec.Struct, frozen=True):
    """Entries with amounts as decimal text, and the key to start the next page after; None at the end."""

    entries: list[dict[str, Any]]
    after: Item | None


def export(user_id: str | None = None, after: Item | None = None) -> ExportPage:
    """Read the next page of one user's entries, in order of version, or of all users' entries. One Query or Scan."""
    reading: Query | Scan
    if user_id is None:
        # The markers of reversed entries share the table; only entries have a balance.
        reading = Scan(table="ledger_table", having="balance_after", consistent=True)
    else:
        reading = Query(table="ledger_table", key=("user_id", user_id), consistent=True)
    page = reading.page(start=after, limit=PAGE)
    entries = [_to_row(msgspec.to_builtins(entry_from_item(item))) for item in page.items]
    return ExportPage(entries, page.after)


def _to_row(entry: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: str(to_decimal(entry[name])) for name in ("amount", "prev_balance", "balance_after")}
    return {**entry, **amounts, "currency": settings().currency}
