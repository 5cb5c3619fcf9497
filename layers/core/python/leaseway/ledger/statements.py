"""Statements: a user's entries newest first, and the balance at a moment in the past."""

import msgspec

from leaseway import clock, cursors
from leaseway.accounts import Account, AccountNotFoundError, check_owner, get_account
from leaseway.errors import InvalidInputError
from leaseway.ledger.entries import Entry, LedgerBehindError, entries_of, last_entry
from leaseway.settings import settings

_NEWEST = 10**15
_FILTERED_READ = 100
# Changes that are under way together may be stamped in another order than they are made.
_OUT_OF_ORDER_MS = 30_000


class EntrySelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries: a span of time (milliseconds since the epoch, both ends included) and a reference."""

    since: int | None = None
    until: int | None = None
    reference: str | None = None

    def includes(self, entry: Entry) -> bool:
        """Return whether the entry is selected."""
        after = self.since is None or entry.at >= self.since
        before = self.until is None or entry.at <= self.until
        return after and before and self.reference in (None, entry.reference)

    def ends_at(self, entry: Entry) -> bool:
        """Return whether no entry before this one can be selected."""
        return self.since is not None and entry.at < self.since - _OUT_OF_ORDER_MS


class StatementPage(msgspec.Struct, frozen=True):
    """Entries newest first, and the cursor to the next ones; a page may be short and still have a cursor."""

    entries: list[Entry]
    cursor: str | None


class _Position(msgspec.Struct, frozen=True, array_like=True):
    version: int


def page_of_entries(
    user_id: str, selection: EntrySelection, *, owner: str | None, size: int, cursor: str | None = None
) -> StatementPage:
    """Read a page of a user's entries.

    Reads in proportion to the page, and at most `LIST_KEY_BUDGET` entries if a reference is selected.

    A span of time is found by halving, some twenty reads of one key for a million entries.

    Raises:
        AccountNotFoundError: no such user.
        InvalidCursorError: the cursor is not one of this very list.
        InvalidInputError: the size is out of bounds.
    """
    check_owner(user_id, owner)
    cursors.require_page_size(size)
    binding = ("ledger", user_id, str(selection.since), str(selection.until), selection.reference)
    start = cursors.read(cursor, binding, _Position).version if cursor else _find_start(user_id, selection)
    entries, below = _read_below(user_id, selection, start, size)
    return StatementPage(entries, cursors.sign(_Position(below), binding) if below else None)


def balance_at(user_id: str, moment: int, *, owner: str | None) -> Account:
    """Read the account as it was at a moment: the balance after the last change made by then.

    One read if nothing has changed since, else some twenty reads of one key for a million entries.

    Raises:
        AccountNotFoundError: the user had no account then.
        InvalidInputError: the moment has not come yet.
        LedgerBehindError: the entries of that moment are not written yet.
    """
    check_owner(user_id, owner)
    if moment > clock.now_ms():
        raise InvalidInputError("is in the future", field="at")
    account = get_account(user_id, owner=owner)
    if account.updated_at <= moment:
        return account
    if moment < account.created_at:
        raise AccountNotFoundError("The user had no account at that time.", user_id=user_id)
    newest = last_entry(user_id, account.version)
    if newest is None or (newest.at <= moment and newest.version < account.version):
        raise LedgerBehindError
    version = version_at(user_id, newest, moment)
    entry = last_entry(user_id, version)
    if entry is None or entry.version != version:
        raise LedgerBehindError(f"entry {version} is missing; see `leaseway ledger verify`")
    return msgspec.structs.replace(
        account,
        balance=entry.balance_after,
        version=entry.version,
        updated_at=entry.at,
        last_change_id="",
    )


def version_at(user_id: str, newest: Entry, moment: int) -> int:
    """Find the version that was current at a moment, 0 before the first. Reads about log2(newest.version) keys."""
    if newest.at <= moment:
        return newest.version
    reached, beyond = 0, newest.version
    while beyond - reached > 1:
        middle = (reached + beyond) // 2
        entry = last_entry(user_id, middle)
        if entry is not None and entry.version > reached and entry.at > moment:
            beyond = entry.version
        else:
            reached = middle
    return reached


def _find_start(user_id: str, selection: EntrySelection) -> int:
    """Find the version to start below."""
    newest = last_entry(user_id, _NEWEST)
    if newest is None:
        get_account(user_id, owner=None)  # no entries yet, or no such user
        return 1
    if selection.until is None:
        return newest.version + 1
    return version_at(user_id, newest, selection.until + _OUT_OF_ORDER_MS) + 1


def _read_below(user_id: str, selection: EntrySelection, start: int, size: int) -> tuple[list[Entry], int]:
    """Read up to `size` entries below version `start`; returns them and the version to continue below, 0 at the end."""
    selected: list[Entry] = []
    left, below = settings().list_key_budget, start
    while left > 0:
        limit = min(size + 1 if selection == EntrySelection() else max(size + 1, _FILTERED_READ), left)
        read = list(entries_of(user_id, 1, below - 1, limit=limit, newest_first=True))
        for entry in read:
            if selection.ends_at(entry):
                return selected, 0
            if selection.includes(entry):
                if len(selected) == size:
                    return selected, entry.version + 1
                selected.append(entry)
            below = entry.version
        left -= limit
        if len(read) < limit:
            return selected, 0
    return selected, below
