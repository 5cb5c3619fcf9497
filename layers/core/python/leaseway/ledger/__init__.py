"""The ledger: one immutable entry for every change of a balance."""

from leaseway.ledger.entries import Entry, EntryNotFoundError, LedgerBehindError, get_entry
from leaseway.ledger.reversals import AlreadyReversedError, NotReversibleError, Reversal, reverse
from leaseway.ledger.statements import StatementPage, balance_at, page_of_entries

__all__ = [
    "AlreadyReversedError",
    "Entry",
    "EntryNotFoundError",
    "LedgerBehindError",
    "NotReversibleError",
    "Reversal",
    "StatementPage",
    "balance_at",
    "get_entry",
    "page_of_entries",
    "reverse",
]
