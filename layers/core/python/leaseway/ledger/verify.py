"""Checks that the ledger explains every balance, and the sum of all balances, to the unit.

Accounts are read first, then entries: an account at version n whose entries end below n is behind, not wrong, unless
nothing has touched it for ten minutes. Each account is cut at its newest entry, and totals compare what the cuts hold.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from leaseway import clock
from leaseway.accounts.model import Account, AccountModel, account_from_item
from leaseway.accounts.postings import EntryName, parse_entry_name
from leaseway.accounts.refusals import AccountNotFoundError
from leaseway.dynamodb.batches import READ_TOGETHER, read_keys
from leaseway.dynamodb.query import Scan
from leaseway.ledger.entries import Entry, EntryModel, entries_of, entry_from_item, last_entry
from leaseway.ledger.sides import TransferSide, read_sides

STILL_MS = 600_000
"""An account untouched for this long has no entry under way: what is missing is a gap."""

LISTED_DIFFERENCES = 1_000
"""More than these are counted, not listed."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that does not add up."""

    user_id: str | None
    version: int | None
    kind: str
    """gap, chain, balance, pair or total."""
    detail: str


class Verification(msgspec.Struct, kw_only=True):
    """What was checked, and what does not add up. Amounts are minor units."""

    accounts: int = 0
    entries: int = 0
    behind: int = 0
    """Accounts whose latest entries are still on their way."""
    differences: int = 0
    listed: list[Difference] = []
    balances: int = 0
    """The sum of all balances, each at its cut."""
    brought_in: int = 0
    """The sum of openings and updates, and of their reversals."""
    under_way: int = 0
    """Transfers of which one side lies within its cut and the other does not."""

    @property
    def clean(self) -> bool:
        """Whether everything adds up."""
        return self.differences == 0

    def add(self, difference: Difference) -> None:
        """Count a difference, and list it while the list is short."""
        self.differences += 1
        if len(self.listed) < LISTED_DIFFERENCES:
            self.listed.append(difference)


class _Cut(NamedTuple):
    """An account as it was read, and the version up to which its entries are looked at."""

    account: Account
    version: int
    at: int
    """When the newest of those entries was made, in milliseconds; 0 if there is none."""


class _OtherSide(NamedTuple):
    """The other side of a transfer's entry, as far as it is in the ledger."""

    name: EntryName
    version: int | None
    """None if the transfer's id does not lead to it, or not yet."""
    entry: Entry | None


class _Cuts:
    """The cut of every account; one that was not read at the start is read when a transfer leads to it."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_user = {account.user_id: _cut(account) for account in list(accounts)}
        self.at_start = list(self._by_user.values())

    def of(self, user_id: str) -> _Cut | None:
        if user_id not in self._by_user:
            account = _find_account(user_id)
            if account is None:
                return None
            self._by_user[user_id] = _cut(account)
        return self._by_user[user_id]


def verify(user_id: str | None = None) -> Verification:
    """Check one user's entries, or everybody's and the totals. Reads every account and entry it checks once.

    A transfer's other side is read too, and the item that leads to it. The cuts of all accounts are held in memory,
    some 500 bytes each.

    Raises:
        AccountNotFoundError: there is no such user.
    """
    accounts = _all_accounts() if user_id is None else [_require_account(user_id)]
    cuts, verification = _Cuts(accounts), Verification()
    for cut in cuts.at_start:
        _verify_account(cut, cuts, verification)
    if user_id is None:
        _verify_totals(verification)
    return verification


def _verify_account(cut: _Cut, cuts: _Cuts, verification: Verification) -> None:
    account, previous = cut.account, None
    verification.accounts += 1
    legs: list[Entry] = []
    for entry in entries_of(account.user_id, 1, cut.version, consistent=True):
        verification.entries += 1
        _verify_link(previous, entry, verification)
        if entry.counterparty is None:
            verification.brought_in += entry.amount
        else:
            legs.append(entry)
            if len(legs) == READ_TOGETHER:
                _verify_pairs(legs, cuts, verification)
                legs = []
        previous = entry
    _verify_pairs(legs, cuts, verification)
    _verify_end(account, previous, verification)


def _verify_link(previous: Entry | None, entry: Entry, verification: Verification) -> None:
    """The entry follows the one before it and says itself what it makes of the balance."""
    due = previous.version + 1 if previous else 1
    if entry.version != due:
        verification.add(_difference(entry, "gap", f"versions {due} to {entry.version - 1} are missing"))
    elif entry.prev_balance != (previous.balance_after if previous else 0):
        verification.add(_difference(entry, "chain", "prev_balance is not the balance after the entry before"))
    if entry.prev_balance + entry.amount != entry.balance_after or entry.balance_after < 0:
        verification.add(_difference(entry, "chain", "the amount does not lead from prev_balance to balance_after"))
    if (entry.kind == "opening") != (entry.version == 1):
        verification.add(_difference(entry, "chain", f"version {entry.version} is of kind {entry.kind}"))


def _verify_end(account: Account, last: Entry | None, verification: Verification) -> None:
    """The newest entry makes the account's balance, or the account's latest entries are still on their way."""
    reached, balance = (last.version, last.balance_after) if last else (0, 0)
    verification.balances += balance
    if reached == account.version:
        if balance != account.balance:
            detail = f"the account has {account.balance}, its entries make {balance}"
            verification.add(Difference(account.user_id, account.version, "balance", detail))
    elif _is_still(account):
        detail = f"versions {reached + 1} to {account.version} are missing"
        verification.add(Difference(account.user_id, reached + 1, "gap", detail))
    else:
        verification.behind += 1


def _verify_pairs(legs: list[Entry], cuts: _Cuts, verification: Verification) -> None:
    """The other side of each transfer is there, names this one, and moved the opposite amount."""
    for leg, other in zip(legs, _read_other_sides(legs), strict=True):
        cut = cuts.of(other.name.user_id)
        if cut is None or other.version is None or other.version > cut.version:
            verification.under_way += leg.amount
        if other.entry is None:
            _verify_missing(leg, other, cut, verification)
        elif _describe_pair(other.entry) != (leg.counterparty, leg.name, -leg.amount, leg.kind):
            detail = f"{other.entry.name} does not name it back with the opposite amount"
            verification.add(_difference(leg, "pair", detail))


def _describe_pair(entry: Entry) -> tuple[str, str | None, int, str]:
    return entry.name, entry.counterparty, entry.amount, entry.kind


def _verify_missing(leg: Entry, other: _OtherSide, cut: _Cut | None, verification: Verification) -> None:
    """An entry that is not there: on its way, missed as a gap of its own account, or never made at all."""
    if cut is not None and (other.version is None or other.version > cut.account.version):
        account = _find_account(cut.account.user_id)  # may have changed since the accounts were read
        cut = cut._replace(account=account) if account else None
    if cut is None or (other.version is not None and other.version > cut.account.version):
        verification.add(_difference(leg, "pair", f"{leg.counterparty} was never made"))
    elif _is_still(cut.account) or _is_passed(leg, other, cut):
        verification.add(_difference(leg, "pair", f"{leg.counterparty} is missing"))


def _is_passed(leg: Entry, other: _OtherSide, cut: _Cut) -> bool:
    """Return whether entries behind the missing one are there already: by its version, or long after its time."""
    if other.version is not None:
        return other.version < cut.version
    return cut.at - leg.at >= STILL_MS


def _verify_totals(verification: Verification) -> None:
    explained = verification.brought_in + verification.under_way
    if verification.balances != explained:
        detail = f"balances make {verification.balances}, openings, updates and transfers under way {explained}"
        verification.add(Difference(None, None, "total", detail))


def _difference(entry: Entry, kind: str, detail: str) -> Difference:
    return Difference(entry.user_id, entry.version, kind, detail)


def _is_still(account: Account) -> bool:
    return clock.now_ms() - account.updated_at >= STILL_MS


def _cut(account: Account) -> _Cut:
    newest = last_entry(account.user_id, account.version, consistent=True)
    return _Cut(account, newest.version, newest.at) if newest else _Cut(account, 0, 0)


def _find_account(user_id: str) -> Account | None:
    item = AccountModel.read(user_id)
    return account_from_item(item) if item else None


def _require_account(user_id: str) -> Account:
    account = _find_account(user_id)
    if account is None:
        raise AccountNotFoundError(user_id=user_id)
    return account


def _all_accounts() -> Iterator[Account]:
    return map(account_from_item, Scan(table="accounts_table", consistent=True).items())


def _read_other_sides(legs: list[Entry]) -> Iterator[_OtherSide]:
    """Read the other side of each leg, in order. One BatchGetItem per hundred, and one for those with transfer ids."""
    names = [parse_entry_name(leg.counterparty) for leg in legs if leg.counterparty]
    sides = read_sides(
        (name.transfer_id, leg.amount > 0) for leg, name in zip(legs, names, strict=True) if name.transfer_id
    )
    versions = [
        name.version if name.transfer_id is None else _version_in(sides.get((name.transfer_id, leg.amount > 0)), name)
        for leg, name in zip(legs, names, strict=True)
    ]
    entries = _read_entries((name.user_id, version) for name, version in zip(names, versions, strict=True) if version)
    for name, version in zip(names, versions, strict=True):
        yield _OtherSide(name, version, entries.get((name.user_id, version or 0)))


def _version_in(side: TransferSide | None, name: EntryName) -> int | None:
    """Return the version of a side, unless it is an entry of another user than the name's."""
    return side.version if side and side.user_id == name.user_id else None


def _read_entries(keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Entry]:
    """Read those of the entries that exist, by user and version. One BatchGetItem per hundred."""
    items = read_keys("ledger_table", [EntryModel.key_of(*key) for key in dict.fromkeys(keys)], consistent=True)
    return {(entry.user_id, entry.version): entry for entry in map(entry_from_item, items)}
