"""Postings, the changes to make, and the attribute of an account's item from which the ledger is written."""

import uuid
from collections.abc import Mapping

import msgspec

from leaseway.accounts.model import Account, EntryAttribute

Accounts = Mapping[str, Account | None]
"""Accounts by user id; None if there is no account."""


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one account, in minor units; becomes its next version and one ledger entry."""

    user_id: str
    amount: int
    kind: str
    """opening, update, transfer or reversal."""
    counterparty: str | None = None
    """The name of the entry on the other side of a transfer."""
    reverses: str | None = None
    """The name of the entry that a reversal reverses."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The request behind a change."""

    request_id: str
    """For tracing only: API Gateway lets its client choose it, so many requests may have one."""
    change_id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    """Identifies the change: after a lost answer it shows whether the write was this one's."""
    reference: str | None = None
    actor: str | None = None


def entry_attribute(posting: Posting, origin: Origin, at: int) -> EntryAttribute:
    """Build the attribute that describes an account's last change; the ledger function reads it from the stream."""
    return EntryAttribute(
        amount=posting.amount,
        kind=posting.kind,
        counterparty=posting.counterparty,
        reverses=posting.reverses,
        change_id=origin.change_id,
        request_id=origin.request_id,
        reference=origin.reference,
        actor=origin.actor,
        at=at,
    )


def parse_entry_name(name: str) -> tuple[str, int]:
    """Return the user and the version in an entry's name.

    Raises:
        ValueError: it is not the name of an entry.
    """
    user_id, _, version = name.rpartition(":")
    if not user_id or not version.isascii() or not version.isdigit():
        raise ValueError(name)
    return user_id, int(version)
