"""Ledger entries: what changed a balance, by how much, and the balance after it."""

from collections.abc import Iterator
from typing import Any

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

from leaseway.accounts.model import entry_name
from leaseway.accounts.postings import parse_entry_name
from leaseway.dynamodb.query import Query, Range
from leaseway.dynamodb.table import Item, Table
from leaseway.errors import NotFoundError, UnavailableError
from leaseway.ledger.sides import TransferSide, find_version


class EntryNotFoundError(NotFoundError):
    """There is no such ledger entry; the entry of the latest change may take a moment to appear."""

    code = "ENTRY_NOT_FOUND"


class LedgerBehindError(UnavailableError):
    """The ledger has not caught up with the account yet; try again in a moment."""

    code = "LEDGER_BEHIND"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of one balance. Amounts are minor units, `at` milliseconds since the epoch, UTC."""

    user_id: str
    version: int
    amount: int
    prev_balance: int
    balance_after: int
    kind: str
    """opening, update, transfer or reversal."""
    at: int
    request_id: str
    reference: str | None = None
    actor: str | None = None
    counterparty: str | None = None
    """The name of the entry on the other side of a transfer, or of a transfer's reversal."""
    transfer_id: str | None = None
    """Joins the two entries of a transfer, or of its reversal; None for one of an earlier release."""
    reverses: str | None = None
    """The name of the entry that this one takes back."""
    reconstructed: bool = False
    """Rebuilt from its neighbours by `leaseway ledger repair`."""

    @property
    def name(self) -> str:
        """Whose entry, and which version of the account it made or which transfer it is a side of."""
        return entry_name(self.user_id, self.version if self.transfer_id is None else self.transfer_id)

    @property
    def side(self) -> TransferSide | None:
        """Which side of which transfer the entry is; None if it has no transfer id."""
        if self.transfer_id is None:
            return None
        return TransferSide(self.transfer_id, self.amount < 0, self.user_id, self.version)


class EntryModel(Table):
    """One item per entry, put once and never updated."""

    table_setting = "ledger_table"

    class Meta:
        table_name = "set by Table"

    user_id = UnicodeAttribute(hash_key=True)
    version = NumberAttribute(range_key=True)
    amount = NumberAttribute()
    prev_balance = NumberAttribute()
    balance_after = NumberAttribute()
    kind = UnicodeAttribute()
    at = NumberAttribute()
    request_id = UnicodeAttribute()
    reference = UnicodeAttribute(null=True)
    actor = UnicodeAttribute(null=True)
    counterparty = UnicodeAttribute(null=True)
    transfer_id = UnicodeAttribute(null=True)
    reverses = UnicodeAttribute(null=True)
    reconstructed = BooleanAttribute(null=True)


def model_of(entry: Entry) -> EntryModel:
    """Convert an entry to an item to put."""
    return EntryModel(**(msgspec.structs.asdict(entry) | {"reconstructed": entry.reconstructed or None}))


def entry_from_item(item: Item) -> Entry:
    """Read the entry in an item.

    An earlier release's ledger function, still in service during a deployment, leaves out the transfer id; the other
    side's name has it.
    """
    fields: dict[str, Any] = {}
    for name, typed in item.items():
        kind, value = next(iter(typed.items()))
        if kind != "NULL":
            fields[name] = int(value) if kind == "N" else value
    if "counterparty" in fields and "transfer_id" not in fields:
        fields["transfer_id"] = parse_entry_name(fields["counterparty"]).transfer_id
    return msgspec.convert(fields, Entry)


def get_entry(name: str) -> Entry:
    """Read the entry of that name. One consistent read of one unit, and for a transfer's a Query of one unit before.

    Raises:
        EntryNotFoundError: there is none, or not yet.
    """
    try:
        user_id, version, transfer_id = parse_entry_name(name)
    except ValueError:
        raise EntryNotFoundError from None
    if transfer_id is not None:
        version = find_version(user_id, transfer_id)
    item = None if version is None else EntryModel.read(user_id, version)
    if item is None:
        raise EntryNotFoundError
    return entry_from_item(item)


def entries_of(  # noqa: PLR0913 - all but the first three are named
    user_id: str,
    first: int,
    last: int,
    *,
    limit: int | None = None,
    newest_first: bool = False,
    consistent: bool = False,
) -> Iterator[Entry]:
    """Read a user's entries of the versions from `first` to `last`, at most `limit`. One Query per MB."""
    if first > last:
        return iter(())  # DynamoDB refuses such a range
    query = Query(
        table="ledger_table",
        key=("user_id", user_id),
        range=Range("version", "BETWEEN", first, last),
        descending=newest_first,
        consistent=consistent,
    )
    return map(entry_from_item, query.items(limit=limit))


def last_entry(user_id: str, version: int, *, consistent: bool = False) -> Entry | None:
    """Read the entry of that version, or the nearest below it; None if there is none. One Query of one key."""
    return next(entries_of(user_id, 1, version, limit=1, newest_first=True, consistent=consistent), None)
