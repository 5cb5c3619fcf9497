"""The accounts table's stream: every change of a balance explains itself and becomes an entry."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from leaseway.accounts.model import account_from_item
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.ledger.entries import Entry, EntryModel, entry_from_item, model_of
from leaseway.ledger.sides import record_side

Record = Mapping[str, Any]
"""A record of DynamoDB Streams with NEW_AND_OLD_IMAGES."""

Run = Callable[[Callable[[Record], str | Exception], Iterable[Record]], Iterable[str | Exception]]
"""How to apply a function to each record: `map`, or the `map` of a pool."""

WRITTEN, REPEATED, SKIPPED = "written", "repeated", "skipped"


class LedgerMismatchError(Exception):
    """The ledger and the account's stream contradict each other. A person has to look; nothing is overwritten."""


class RecordingReport(msgspec.Struct, frozen=True):
    """What became of a batch."""

    written: int
    repeated: int
    skipped: int


def record_changes(records: Iterable[Record], run: Run = map) -> RecordingReport:
    """Write the entries of a batch, one put each: one write unit an entry under 1 KB, written or repeated.

    A transfer's entry costs one put of one unit more, of the item by which the transfer's id leads to it.

    Every record is tried before the first failure is raised, so that a bad one holds back nothing but itself.

    Raises:
        LedgerMismatchError: a change does not explain itself, or another entry is there already.
        Exception: whatever kept an entry from being written.
    """
    fates = list(run(_try_write, records))
    failures = [fate for fate in fates if isinstance(fate, Exception)]
    if failures:
        mismatches = [failure for failure in failures if isinstance(failure, LedgerMismatchError)]
        raise (mismatches or failures)[0]
    return RecordingReport(fates.count(WRITTEN), fates.count(REPEATED), fates.count(SKIPPED))


def build_entry_of_change(old: Item | None, new: Item | None) -> Entry | None:
    """Build the entry of a change of an account's item; None if its balance and version stayed as they were.

    Raises:
        LedgerMismatchError: balance, version and `last_entry` do not fit together.
    """
    if new is None:
        raise LedgerMismatchError("an account was deleted")
    try:
        after, last_entry = account_from_item(new), new["last_entry"]["M"]
        before = account_from_item(old) if old else None
        entry = _entry(before.balance if before else 0, new, last_entry)
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        raise LedgerMismatchError(f"an item that is no account: {problem!r}") from problem
    if before and (after.version, after.balance) == (before.version, before.balance):
        return None
    if entry.version != (before.version if before else 0) + 1 or entry.prev_balance + entry.amount != after.balance:
        raise LedgerMismatchError(f"{entry.name}: the change of the balance is not the one in its last_entry")
    return entry


def write(entry: Entry) -> str:
    """Put an entry if there is none of its version; returns WRITTEN, or REPEATED if the same entry is there.

    It replaces a reconstruction whose amounts it confirms. A transfer's side is recorded before, so that it can be
    found as soon as its entry can be read.

    Raises:
        LedgerMismatchError: another entry is there, or another one is this side of the transfer.
    """
    if entry.side is not None and (recorded := record_side(entry.side)) != entry.side:
        raise LedgerMismatchError(f"{entry.name}: the transfer has another entry as this side: {recorded}")
    confirmed = (
        (EntryModel.reconstructed == True)  # noqa: E712 - pynamodb builds the condition from it
        & (EntryModel.amount == entry.amount)
        & (EntryModel.balance_after == entry.balance_after)
    )
    try:
        EntryModel.insert(model_of(entry), unless=confirmed)
    except ConditionRefusedError as refusal:
        if refusal.item is None or entry_from_item(refusal.item) != entry:
            raise LedgerMismatchError(f"{entry.name}: another entry is there: {refusal.item}") from None
        return REPEATED
    return WRITTEN


def _try_write(record: Record) -> str | Exception:
    images = record["dynamodb"]
    try:
        entry = build_entry_of_change(images.get("OldImage"), images.get("NewImage"))
        return write(entry) if entry else SKIPPED
    except Exception as failure:  # raised once the rest of the batch is written
        return failure


def _entry(prev_balance: int, new: Item, last_entry: Mapping[str, Any]) -> Entry:
    optional = {
        name: last_entry[name]["S"]
        for name in ("reference", "actor", "counterparty", "transfer_id", "reverses")
        if "S" in last_entry.get(name, {})
    }
    return Entry(
        user_id=new["user_id"]["S"],
        version=int(new["version"]["N"]),
        amount=int(last_entry["amount"]["N"]),
        prev_balance=prev_balance,
        balance_after=int(new["balance"]["N"]),
        kind=last_entry["kind"]["S"],
        at=int(last_entry["at"]["N"]),
        request_id=last_entry["request_id"]["S"],
        **optional,
    )
