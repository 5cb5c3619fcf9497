"""The ledger: one immutable entry for every change of a balance."""

from leaseway.ledger.entries import Entry, EntryNotFoundError, LedgerBehindError, get_entry
from leaseway.ledger.reversals import AlreadyReversedError, NotReversibleError, Reversal, reverse
from leaseway.ledger.statements import EntryPage, balance_at, page_of_entries

__all__ = [
    "AlreadyReversedError",
    "Entry",
    "EntryNotFoundError",
    "EntryPage",
    "LedgerBehindError",
    "NotReversibleError",
    "Reversal",
    "balance_at",
    "get_entry",
    "page_of_entries",
    "reverse",
]
