"""Views of accounts in the API's JSON: balances, ledger entries, transfers and reversals."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from api.views import Time, rfc3339
from leaseway.accounts import Account, Transfer
from leaseway.ledger import Entry, Reversal
from leaseway.money import to_decimal
from leaseway.settings import settings

Money = Annotated[Decimal, Meta(description="Exact, with the decimal places of the currency")]
Currency = Annotated[str, Meta(description="ISO 4217; a deployment has one currency", examples=["EUR"])]
EntryName = Annotated[
    str, Meta(description="The name of a ledger entry, which is opaque", examples=["alice:7"], max_length=168)
]


class AccountView(msgspec.Struct):
    """The balance of an account at one version."""

    userId: str
    balance: Money
    currency: Currency
    version: Annotated[int, Meta(description="Increases by 1 with each change of the balance, from 1")]
    created_at: Time
    updated_at: Time


class EntryView(msgspec.Struct):
    """One change of a balance. An entry never changes."""

    entry: EntryName
    version: Annotated[int, Meta(description="The version of the account after the change, from 1")]
    amount: Annotated[Money, Meta(description="Negative if it was subtracted")]
    balance_after: Money
    currency: Currency
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["opening", "update", "transfer", "reversal"]})]
    at: Time
    reference: str | None
    actor: Annotated[str | None, Meta(description="The user who requested it")]
    request_id: Annotated[str, Meta(description="The x-request-id of the request that made it")]
    counterparty: Annotated[str | None, Meta(description="The entry on the other side of a transfer")]
    transfer_id: Annotated[str | None, Meta(description="Joins the two entries of a transfer, or of its reversal")]
    reverses: Annotated[str | None, Meta(description="The entry that this one reverses")]
    reconstructed: Annotated[bool, Meta(description="Rebuilt from the entries around it")]


class LedgerView(msgspec.Struct):
    """A page of a user's ledger, newest first."""

    content: list[EntryView]
    cursor: Annotated[str | None, Meta(description="The cursor of the next page, with older entries; null at the end")]


class TransferView(msgspec.Struct, rename={"sender": "from", "receiver": "to"}):
    """A completed transfer, with its two entries, which appear in the ledger a moment later."""

    sender: str
    receiver: str
    amount: Money
    currency: Currency
    reference: str | None
    balance: Annotated[
        Money,
        Meta(description="The sender's balance, read after the transfer; it may include changes that followed"),
    ]
    from_entry: EntryName
    to_entry: EntryName
    at: Time


class ReversalView(msgspec.Struct):
    """A completed reversal; its entries appear in the ledger a moment later."""

    reversed: EntryName
    entries: Annotated[
        list[EntryName], Meta(description="The new entries: one, or two if both sides of a transfer were reversed")
    ]
    at: Time


def account_view(account: Account) -> AccountView:
    """An account for JSON."""
    return AccountView(
        userId=account.user_id,
        balance=to_decimal(account.balance),
        currency=settings().currency,
        version=account.version,
        created_at=rfc3339(account.created_at),
        updated_at=rfc3339(account.updated_at),
    )


def entry_view(entry: Entry) -> EntryView:
    """A ledger entry for JSON."""
    return EntryView(
        entry=entry.name,
        version=entry.version,
        amount=to_decimal(entry.amount),
        balance_after=to_decimal(entry.balance_after),
        currency=settings().currency,
        kind=entry.kind,
        at=rfc3339(entry.at),
        reference=entry.reference,
        actor=entry.actor,
        request_id=entry.request_id,
        counterparty=entry.counterparty,
        transfer_id=entry.transfer_id,
        reverses=entry.reverses,
        reconstructed=entry.reconstructed,
    )


def transfer_view(transfer: Transfer, reference: str | None) -> TransferView:
    """A transfer for its sender, who does not learn the receiver's balance."""
    return TransferView(
        sender=transfer.sender,
        receiver=transfer.receiver,
        amount=to_decimal(transfer.amount),
        currency=settings().currency,
        reference=reference,
        balance=to_decimal(transfer.balance),
        from_entry=transfer.entries[0],
        to_entry=transfer.entries[1],
        at=rfc3339(transfer.at),
    )


def reversal_view(reversal: Reversal) -> ReversalView:
    """A reversal for JSON."""
    return ReversalView(reversal.reversed, reversal.entries, rfc3339(reversal.at))
