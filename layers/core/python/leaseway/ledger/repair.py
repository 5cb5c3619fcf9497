"""Rebuilds missing ledger entries from their neighbours, and marks them as reconstructed."""

from collections.abc import Collection, Iterable, Iterator

import msgspec

from leaseway import clock
from leaseway.accounts.model import AccountModel, account_from_item
from leaseway.accounts.postings import parse_entry_name
from leaseway.accounts.refusals import AccountNotFoundError
from leaseway.dynamodb.query import Scan
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import ConflictError
from leaseway.ledger.entries import Entry, EntryModel, entries_of, entry_from_item, get_entry, model_of
from leaseway.ledger.sides import find_version, read_sides, record_side
from leaseway.ledger.stream import build_entry_of_change
from leaseway.ledger.verify import STILL_MS


class NotRepairableError(ConflictError):
    """The gap cannot be rebuilt: entries next to each other are missing, so it is unknown what each one moved."""

    code = "NOT_REPAIRABLE"


def repair(user_id: str) -> list[Entry]:
    """Rebuild a user's missing entries, each from its neighbours, and return them.

    What an entry moved follows from the balances around it. If it was one side of a transfer, the rest follows from
    the other side, which is searched in the whole table; that reads all of it. If the stream delivers the entry later
    and confirms the amounts, it replaces the reconstruction. Items that lead from transfer ids to the user's entries
    are put if they are missing.

    Raises:
        AccountNotFoundError: no such user.
        NotRepairableError: two entries next to each other are missing, or several transfers fit a missing one; no
            entry was written.
    """
    item = AccountModel.read(user_id)
    if item is None:
        raise AccountNotFoundError(user_id=user_id)
    entries = {
        entry.version: entry for entry in entries_of(user_id, 1, account_from_item(item).version, consistent=True)
    }
    _restore_sides(entries.values())
    rebuilt = [_rebuild(item, version, entries) for version in _find_missing(item, entries)]
    return [entry for entry in rebuilt if _put(entry)]


def _find_missing(item: Item, entries: dict[int, Entry]) -> Iterator[int]:
    """List the versions that have no entry. Those after the newest entry count once the account has been still."""
    account = account_from_item(item)
    still = clock.now_ms() - account.updated_at >= STILL_MS
    last = account.version if still else max(entries, default=0)
    return (version for version in range(1, last + 1) if version not in entries)


def _rebuild(item: Item, version: int, entries: dict[int, Entry]) -> Entry:
    account = account_from_item(item)
    before, after = entries.get(version - 1), entries.get(version + 1)
    if before is None and version > 1:
        raise NotRepairableError(f"versions {version - 1} and {version} are both missing")
    prev_balance = before.balance_after if before else 0
    if version == account.version:
        return _from_account(item, prev_balance)
    if after is None:
        raise NotRepairableError(f"versions {version} and {version + 1} are both missing")
    transfer_ids = [entry.transfer_id for entry in entries.values() if entry.transfer_id]
    return _between(transfer_ids, account.created_at, before, after)


def _from_account(item: Item, prev_balance: int) -> Entry:
    """Build the newest entry, which the account itself still describes."""
    account = account_from_item(item)
    old = {
        **item,
        "balance": {"N": str(prev_balance)},
        "version": {"N": str(account.version - 1)},
    }
    entry = build_entry_of_change(old if account.version > 1 else None, item)
    assert entry is not None  # noqa: S101 - versions differ by one
    return msgspec.structs.replace(entry, reconstructed=True)


def _between(transfer_ids: Collection[str], created_at: int, before: Entry | None, after: Entry) -> Entry:
    prev_balance, version = (before.balance_after, before.version + 1) if before else (0, 1)
    known = Entry(
        user_id=after.user_id,
        version=version,
        amount=after.prev_balance - prev_balance,
        prev_balance=prev_balance,
        balance_after=after.prev_balance,
        kind="update" if before else "opening",
        at=after.at if before else created_at,
        request_id="unknown",
        reconstructed=True,
    )
    other = _find_other_side(known, transfer_ids)
    if other is None:
        return known
    return msgspec.structs.replace(
        known,
        kind=other.kind,
        at=other.at,
        request_id=other.request_id,
        reference=other.reference,
        actor=other.actor,
        counterparty=other.name,
        transfer_id=other.transfer_id,
        reverses=get_entry(other.reverses).counterparty if other.reverses else None,
    )


def _find_other_side(missing: Entry, transfer_ids: Collection[str]) -> Entry | None:
    """Find the entry whose other side is the missing one, not a transfer of those ids. Reads the whole ledger."""
    entries = map(entry_from_item, Scan(table="ledger_table", having="counterparty").items())
    others = [entry for entry in entries if _is_other_side(entry, missing, transfer_ids)]
    if len(others) > 1:
        names = ", ".join(other.name for other in others)
        raise NotRepairableError(f"version {missing.version} may be the other side of {names}")
    return others[0] if others else None


def _is_other_side(entry: Entry, missing: Entry, transfer_ids: Collection[str]) -> bool:
    if entry.counterparty is None or entry.amount != -missing.amount:
        return False
    user_id, version, transfer_id = parse_entry_name(entry.counterparty)
    if user_id != missing.user_id or transfer_id in transfer_ids:
        return False
    # The side is recorded before its entry is put. Was neither ever written, what fits is what no entry explains.
    recorded = version if transfer_id is None else find_version(user_id, transfer_id)
    return recorded in (None, missing.version)


def _restore_sides(entries: Iterable[Entry]) -> None:
    """Put the items that lead from transfer ids to these entries, if they are missing."""
    sides = [entry.side for entry in entries if entry.side]
    recorded = read_sides((side.transfer_id, side.is_debit) for side in sides)
    for side in sides:
        if (side.transfer_id, side.is_debit) not in recorded:
            record_side(side)


def _put(entry: Entry) -> bool:
    if entry.side:
        record_side(entry.side)
    try:
        EntryModel.insert(model_of(entry))
    except ConditionRefusedError:
        return False  # the stream has delivered it by now
    return True
