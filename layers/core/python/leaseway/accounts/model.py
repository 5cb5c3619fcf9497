"""The accounts table, and the account without DynamoDB's attributes."""

import re
import uuid

import msgspec
from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute

from leaseway.dynamodb.table import Item, Table


class Account(msgspec.Struct, frozen=True):
    """A balance at one version. Amounts are minor units, times milliseconds since the epoch, UTC."""

    user_id: str
    balance: int
    version: int
    created_at: int
    updated_at: int
    last_change_id: str = ""
    """The id of the change that made this version; empty for one of an earlier release, which is no request's own."""
    owner: str | None = None
    """The user for whom it was opened; None for nobody, and for every account of an earlier release."""

    @property
    def latest_entry(self) -> str:
        """The name of the ledger entry that made this version."""
        return entry_name(self.user_id, self.last_change_id if is_transfer_id(self.last_change_id) else self.version)


def entry_name(user_id: str, change: int | str) -> str:
    """Return the name of a ledger entry: whose, and the version of the account that it made or its transfer's id.

    The two entries of a transfer have the transfer's id in their names, so that each side's name is known from the
    other's, and before either account has a new version.
    """
    return f"{user_id}:{change}"


def make_transfer_id() -> str:
    """Make the id of a transfer: a change id that can be distinguished from a version."""
    return f"t{uuid.uuid4().hex}"


def is_transfer_id(text: str) -> bool:
    """Return whether the text is the id of a transfer."""
    return _TRANSFER_ID.fullmatch(text) is not None


_TRANSFER_ID = re.compile("t[0-9a-f]{32}")


class EntryAttribute(MapAttribute[str, object]):
    """The last change of an account. The ledger is written from it, one entry per version."""

    amount = NumberAttribute()
    kind = UnicodeAttribute()
    change_id = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute()
    reference = UnicodeAttribute(null=True)
    actor = UnicodeAttribute(null=True)
    counterparty = UnicodeAttribute(null=True)
    transfer_id = UnicodeAttribute(null=True)
    reverses = UnicodeAttribute(null=True)
    at = NumberAttribute()


class AccountModel(Table):
    """One item per account. Its writes are not idempotent, so the SDK must never repeat one by itself."""

    table_setting = "accounts_table"
    sdk_attempts = 1

    class Meta:
        table_name = "set by Table"

    user_id = UnicodeAttribute(hash_key=True)
    balance = NumberAttribute()
    version = NumberAttribute()
    created_at = NumberAttribute()
    updated_at = NumberAttribute()
    last_entry = EntryAttribute()
    owner = UnicodeAttribute(null=True)


def new_item(account: Account, entry: EntryAttribute) -> AccountModel:
    """Build the item of an account that is opened by `entry`."""
    return AccountModel(
        account.user_id,
        balance=account.balance,
        version=account.version,
        created_at=account.created_at,
        updated_at=account.updated_at,
        last_entry=entry,
        owner=account.owner,
    )


def account_from_item(item: Item) -> Account:
    """Read the account in an item."""
    return Account(
        user_id=item["user_id"]["S"],
        balance=int(item["balance"]["N"]),
        version=int(item["version"]["N"]),
        created_at=int(item["created_at"]["N"]),
        updated_at=int(item["updated_at"]["N"]),
        last_change_id=item["last_entry"]["M"].get("change_id", {"S": ""})["S"],
        owner=item.get("owner", {"S": None})["S"],
    )
