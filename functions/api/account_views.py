"""Views of accounts: balances, ledger entries, transfers and reversals, in the forms that the API speaks."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from api.views import Time, rfc3339
from leaseway.accounts import Account, Transfer
from leaseway.ledger import Entry, Reversal
from leaseway.money import to_decimal
from leaseway.settings import settings

Money = Annotated[Decimal, Meta(description="Exact, with the currency's places")]
Currency = Annotated[str, Meta(description="ISO 4217; one a deployment", examples=["EUR"])]
EntryName = Annotated[
    str, Meta(description="Names a ledger entry; take it as it is, not apart", examples=["alice:7"], max_length=168)
]


class AccountView(msgspec.Struct):
    """A balance at one version."""

    userId: str
    balance: Money
    currency: Currency
    version: Annotated[int, Meta(description="Counts the changes of this balance, from 1")]
    created_at: Time
    updated_at: Time


class EntryView(msgspec.Struct):
    """One change of one balance. It never changes itself."""

    entry: EntryName
    version: Annotated[int, Meta(description="The version of the account that it made, from 1")]
    amount: Annotated[Money, Meta(description="Negative where it took away")]
    balance_after: Money
    currency: Currency
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["opening", "update", "transfer", "reversal"]})]
    at: Time
    reference: str | None
    actor: Annotated[str | None, Meta(description="Who asked for it")]
    request_id: Annotated[str, Meta(description="The x-request-id of the request that made it")]
    counterparty: Annotated[str | None, Meta(description="The entry on the other side of a transfer")]
    transfer_id: Annotated[str | None, Meta(description="Joins the two entries of a transfer, or of its reversal")]
    reverses: Annotated[str | None, Meta(description="The entry that this one takes back")]
    reconstructed: Annotated[bool, Meta(description="Rebuilt from the entries around it")]


class LedgerView(msgspec.Struct):
    """A page of a user's ledger, newest first."""

    content: list[EntryView]
    cursor: Annotated[str | None, Meta(description="Leads on to older entries; null at the end")]


class TransferView(msgspec.Struct, rename={"sender": "from", "receiver": "to"}):
    """A transfer that was made, with its two entries; they are in the ledger a moment later."""

    sender: str
    receiver: str
    amount: Money
    currency: Currency
    reference: str | None
    balance: Annotated[Money, Meta(description="What the sender has left")]
    from_entry: EntryName
    to_entry: EntryName
    at: Time


class ReversalView(msgspec.Struct):
    """A reversal that was made; its entries are in the ledger a moment later."""

    reversed: EntryName
    entries: Annotated[
        list[EntryName], Meta(description="The new entries: one, or two where both sides of a transfer were reversed")
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
        sender=transfer.sender.user_id,
        receiver=transfer.receiver.user_id,
        amount=to_decimal(transfer.amount),
        currency=settings().currency,
        reference=reference,
        balance=to_decimal(transfer.sender.balance),
        from_entry=transfer.entries[0],
        to_entry=transfer.entries[1],
        at=rfc3339(transfer.sender.updated_at),
    )


def reversal_view(reversal: Reversal) -> ReversalView:
    """A reversal for JSON."""
    return ReversalView(reversal.reversed, reversal.entries, rfc3339(reversal.accounts[0].updated_at))
