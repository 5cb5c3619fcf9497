"""Postings: what is to be changed, and how the account's item tells the ledger of it."""

from collections.abc import Mapping

import msgspec

from leaseway.accounts.model import Account, EntryAttribute

Accounts = Mapping[str, Account | None]
"""Accounts by user id; None where there is none."""


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one account, in minor units; becomes its next version and one ledger entry."""

    user_id: str
    amount: int
    kind: str
    """opening, update, transfer or reversal."""
    counterparty: str | None = None
    """The name of the entry on the other side of a transfer."""
    reverses: str | None = None
    """The name of the entry that a reversal takes back."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a change comes from. `request_id` is this request's own and never reused."""

    request_id: str
    reference: str | None = None
    actor: str | None = None


def entry_attribute(posting: Posting, origin: Origin, at: int) -> EntryAttribute:
    """What the account's item says of its last change; the ledger function reads it from the stream."""
    return EntryAttribute(
        amount=posting.amount,
        kind=posting.kind,
        counterparty=posting.counterparty,
        reverses=posting.reverses,
        request_id=origin.request_id,
        reference=origin.reference,
        actor=origin.actor,
        at=at,
    )


def parse_entry_name(name: str) -> tuple[str, int]:
    """The user and the version in an entry's name.

    Raises:
        ValueError: it is no such name.
    """
    user_id, _, version = name.rpartition(":")
    if not user_id or not version.isascii() or not version.isdigit():
        raise ValueError(name)
    return user_id, int(version)
