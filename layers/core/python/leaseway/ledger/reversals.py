"""Reversals: a new entry that takes an earlier one back, once. Nothing is ever erased.

Reversing one side of a transfer takes back both: money that left one account came from another.
"""

from collections.abc import Sequence

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from leaseway import clock
from leaseway.accounts import BalanceLimitError, InsufficientFundsError
from leaseway.accounts.balances import check_posting
from leaseway.accounts.model import make_transfer_id
from leaseway.accounts.movements import Movement, move
from leaseway.accounts.postings import Origin, Posting, parse_entry_name
from leaseway.accounts.settlement import settle
from leaseway.dynamodb.table import Item, Part, Table
from leaseway.errors import ConflictError
from leaseway.ledger.entries import Entry, get_entry


class AlreadyReversedError(ConflictError):
    """The entry has already been reversed."""

    code = "ALREADY_REVERSED"


class NotReversibleError(ConflictError):
    """A reversal, or an entry with an amount of zero, cannot be reversed."""

    code = "NOT_REVERSIBLE"


class Reversal(msgspec.Struct, frozen=True):
    """A reversal that was made, by one new entry or by two."""

    reversed: str
    entries: list[str]
    """The names of the new entries, that of the reversed entry's account first."""
    at: int
    """When it was made, in milliseconds since the epoch, UTC."""


class ReversalModel(Table):
    """One item a reversed entry, beside the ledger's entries under a key that no user can have."""

    table_setting = "ledger_table"
    sdk_attempts = 1

    class Meta:
        table_name = "set by Table"

    user_id = UnicodeAttribute(hash_key=True)
    version = NumberAttribute(range_key=True)
    reversal = UnicodeAttribute()
    change_id = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute()
    at = NumberAttribute()


def reverse(name: str, *, request_id: str, reference: str | None = None, actor: str | None = None) -> Reversal:
    """Take an entry back by a new one, and with it the other side of a transfer.

    One read of the entry, for a transfer's by its id a Query before, and one transaction: an item an account and one
    that makes it once. An update's account is read before and must not change in between; a transfer's are not.

    Raises:
        EntryNotFoundError: no such entry.
        NotReversibleError: it is a reversal itself, or moved nothing.
        AlreadyReversedError: it has been reversed; names the reversal.
        InsufficientFundsError, BalanceLimitError: the account can no longer give back, or take back, the amount.
        OutcomeUnknownError: the answer was lost; a repeat shows the outcome, for a second reversal is refused.
        UnavailableError: the accounts are too busy; nothing was changed.
    """
    entry = get_entry(name)
    if entry.kind == "reversal" or entry.amount == 0:
        raise NotReversibleError
    marker = _ReversalMarker(entry)
    origin = Origin(request_id=request_id, reference=reference, actor=actor)
    try:
        if entry.counterparty is None:
            return Reversal(name, *_reverse_update(entry, origin, marker))
        return Reversal(name, *_reverse_transfer(entry, entry.counterparty, origin, marker))
    except (InsufficientFundsError, BalanceLimitError):
        # If the entry has been reversed already, that is the reason to report.
        marker.check_absent()
        raise


def _reverse_update(entry: Entry, origin: Origin, marker: "_ReversalMarker") -> tuple[list[str], int]:
    posting = Posting(user_id=entry.user_id, amount=-entry.amount, kind="reversal", reverses=entry.name)
    (account,) = settle([entry.user_id], lambda accounts: [check_posting(accounts, posting)], origin, once=marker)
    return [account.latest_entry], account.updated_at


def _reverse_transfer(entry: Entry, other: str, origin: Origin, marker: "_ReversalMarker") -> tuple[list[str], int]:
    sides = [(entry.user_id, entry.name), (parse_entry_name(other).user_id, other)]
    payer, payee = sides if entry.amount > 0 else sides[::-1]
    movement = Movement(
        sender=payer[0],
        receiver=payee[0],
        amount=abs(entry.amount),
        kind="reversal",
        reverses=(payer[1], payee[1]),
    )
    answer = move(movement, msgspec.structs.replace(origin, change_id=make_transfer_id()), once=marker)
    return (answer.entries if entry.amount > 0 else answer.entries[::-1]), answer.at


class _ReversalMarker:
    """The item that lets an entry be reversed once; both sides of a transfer have the same.

    It is named by the transfer's id. A transfer of an earlier release, which has none, has the sender's item.
    """

    def __init__(self, entry: Entry) -> None:
        side = entry.counterparty if entry.counterparty and entry.amount > 0 else entry.name
        user_id, version, transfer_id = parse_entry_name(side)
        self._partition = f"{user_id if transfer_id is None else transfer_id}#reversals"
        self._version = version or 1

    def build_part(self, entries: Sequence[str], origin: Origin) -> Part:
        """Build the put of the item; refused if the item exists."""
        item = ReversalModel(
            self._partition,
            self._version,
            reversal=entries[0],
            change_id=origin.change_id,
            request_id=origin.request_id,
            at=clock.now_ms(),
        )
        return ReversalModel.put_part(item, ReversalModel.user_id.does_not_exist())

    def build_refusal(self, item: Item) -> AlreadyReversedError:
        """Build the error that names the earlier reversal."""
        return AlreadyReversedError(reversal=item["reversal"]["S"])

    def read_change_id(self, item: Item) -> str:
        """Return the id of the change that reversed the entry; empty for one of an earlier release."""
        return str(item["change_id"]["S"]) if "change_id" in item else ""

    def check_absent(self) -> None:
        """Raise AlreadyReversedError if the item exists. One read."""
        item = ReversalModel.read(self._partition, self._version)
        if item is not None:
            raise self.build_refusal(item)
