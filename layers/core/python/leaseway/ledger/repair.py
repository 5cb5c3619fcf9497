"""Rebuilds missing ledger entries from their neighbours, and marks them as reconstructed."""

from collections.abc import Iterator

import msgspec

from leaseway import clock
from leaseway.accounts.model import AccountModel, account_from_item, entry_name
from leaseway.accounts.refusals import AccountNotFoundError
from leaseway.dynamodb.query import Scan
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import ConflictError
from leaseway.ledger.entries import Entry, EntryModel, entries_of, entry_from_item, get_entry, model_of
from leaseway.ledger.stream import build_entry_of_change
from leaseway.ledger.verify import STILL_MS


class NotRepairableError(ConflictError):
    """The gap cannot be rebuilt: entries next to each other are missing, so it is unknown what each one moved."""

    code = "NOT_REPAIRABLE"


def repair(user_id: str) -> list[Entry]:
    """Rebuild a user's missing entries, each from its neighbours, and return them.

    What an entry moved follows from the balances around it. If it was one side of a transfer, the rest follows from
    the other side, which is searched in the whole table; that reads all of it. If the stream delivers the entry later
    and confirms the amounts, it replaces the reconstruction.

    Raises:
        AccountNotFoundError: no such user.
        NotRepairableError: two entries next to each other are missing; nothing was written.
    """
    item = AccountModel.read(user_id)
    if item is None:
        raise AccountNotFoundError(user_id=user_id)
    entries = {
        entry.version: entry for entry in entries_of(user_id, 1, account_from_item(item).version, consistent=True)
    }
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
    return _between(entry_name(account.user_id, version), account.created_at, before, after)


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


def _between(name: str, created_at: int, before: Entry | None, after: Entry) -> Entry:
    prev_balance, version = (before.balance_after, before.version + 1) if before else (0, 1)
    other = _find_other_side(name)
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
        reverses=get_entry(other.reverses).counterparty if other.reverses else None,
    )


def _find_other_side(name: str) -> Entry | None:
    """Find the entry that names `name` as its other side. Reads the whole ledger."""
    items = Scan(table="ledger_table", having="counterparty").items()
    return next((entry_from_item(item) for item in items if item["counterparty"].get("S") == name), None)


def _put(entry: Entry) -> bool:
    try:
        EntryModel.insert(model_of(entry))
    except ConditionRefusedError:
        return False  # the stream has delivered it by now
    return True
