"""Finds a transfer's entries by its id: for each there is an item beside the ledger with its user and version.

The item is put before the entry, so an entry that can be read can also be found. Entries of earlier releases have no
transfer id; they name each other by version.
"""

from collections.abc import Iterable

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from leaseway.dynamodb.batches import read_keys
from leaseway.dynamodb.query import Query
from leaseway.dynamodb.table import ConditionRefusedError, Item, Table

_DEBIT, _CREDIT = 1, 2


class TransferSide(msgspec.Struct, frozen=True):
    """Which entry is the debit of a transfer, or its credit."""

    transfer_id: str
    is_debit: bool
    user_id: str
    version: int


class TransferSideModel(Table):
    """One item a side, in a partition a transfer, under a key that no user can have."""

    table_setting = "ledger_table"

    class Meta:
        table_name = "set by Table"

    user_id = UnicodeAttribute(hash_key=True)
    version = NumberAttribute(range_key=True)
    account = UnicodeAttribute()
    account_version = NumberAttribute()


def record_side(side: TransferSide) -> TransferSide:
    """Put the item of a side unless there is one; returns the side that is there now. One put of one write unit."""
    item = TransferSideModel(
        _partition(side.transfer_id),
        _DEBIT if side.is_debit else _CREDIT,
        account=side.user_id,
        account_version=side.version,
    )
    try:
        TransferSideModel.insert(item)
    except ConditionRefusedError as refusal:
        if refusal.item is not None:
            return _read_side(refusal.item)
    return side


def find_version(user_id: str, transfer_id: str) -> int | None:
    """Find the version of the user's entry of a transfer; None if it has none, or not yet. One consistent Query."""
    query = Query(table="ledger_table", key=("user_id", _partition(transfer_id)), consistent=True)
    sides = map(_read_side, query.items())
    return next((side.version for side in sides if side.user_id == user_id), None)


def read_sides(keys: Iterable[tuple[str, bool]]) -> dict[tuple[str, bool], TransferSide]:
    """Read those sides that are there, each by transfer id and whether it is the debit. One BatchGetItem a hundred."""
    ranges = [
        TransferSideModel.key_of(_partition(transfer_id), _DEBIT if is_debit else _CREDIT)
        for transfer_id, is_debit in dict.fromkeys(keys)
    ]
    sides = map(_read_side, read_keys("ledger_table", ranges, consistent=True))
    return {(side.transfer_id, side.is_debit): side for side in sides}


def _partition(transfer_id: str) -> str:
    return f"{transfer_id}#transfer"


def _read_side(item: Item) -> TransferSide:
    return TransferSide(
        transfer_id=item["user_id"]["S"].partition("#")[0],
        is_debit=int(item["version"]["N"]) == _DEBIT,
        user_id=item["account"]["S"],
        version=int(item["account_version"]["N"]),
    )
