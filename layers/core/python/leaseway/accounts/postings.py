"""Postings, the changes to make, and the attribute of an account's item from which the ledger is written."""

import uuid
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from leaseway.accounts.model import Account, EntryAttribute, entry_name, is_transfer_id

Accounts = Mapping[str, Account | None]
"""Accounts by user id; None if there is no account."""


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one account, in minor units; becomes its next version and one ledger entry."""

    user_id: str
    amount: int
    kind: str
    """opening, update, transfer or reversal."""
    counterparty: str | None = None
    """The user on the other side of a transfer, or of a transfer's reversal; its change id is a transfer id."""
    reverses: str | None = None
    """The name of the entry that a reversal reverses."""
    owner: str | None = None
    """The user for whom an opening opens the account."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The request behind a change."""

    request_id: str
    """For tracing only: API Gateway lets its client choose it, so many requests may have one."""
    change_id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    """Identifies the change, and joins a transfer's entries: after a lost answer shows if the write was this one's."""
    reference: str | None = None
    actor: str | None = None


def entry_attribute(posting: Posting, origin: Origin, at: int) -> EntryAttribute:
    """Build the attribute that describes an account's last change; the ledger function reads it from the stream."""
    return EntryAttribute(
        amount=posting.amount,
        kind=posting.kind,
        counterparty=entry_name(posting.counterparty, origin.change_id) if posting.counterparty else None,
        transfer_id=origin.change_id if posting.counterparty else None,
        reverses=posting.reverses,
        change_id=origin.change_id,
        request_id=origin.request_id,
        reference=origin.reference,
        actor=origin.actor,
        at=at,
    )


class EntryName(NamedTuple):
    """An entry's name, parsed: the user, and either the version that the entry made or its transfer's id."""

    user_id: str
    version: int | None
    transfer_id: str | None


def parse_entry_name(name: str) -> EntryName:
    """Return the parts of an entry's name.

    Raises:
        ValueError: it is not the name of an entry.
    """
    user_id, _, change = name.rpartition(":")
    if user_id and is_transfer_id(change):
        return EntryName(user_id, None, change)
    if not user_id or not change.isascii() or not change.isdigit():
        raise ValueError(name)
    return EntryName(user_id, int(change), None)
