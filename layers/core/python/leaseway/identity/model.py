"""The users table, the user, and what a caller may do."""

from enum import StrEnum

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from leaseway.dynamodb.table import Item, Table


class Role(StrEnum):
    """What a user may do: use their own jobs and balance, also run external jobs, or everything."""

    USER = "User"
    WORKER = "Worker"
    ADMIN = "Admin"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user. Times are milliseconds since the epoch, UTC. The password's hash stays in `leaseway.identity`."""

    username: str
    role: Role
    token_generation: int
    """Tokens of another generation are refused."""
    created_at: int
    updated_at: int
    disabled: bool = False
    """A disabled user cannot sign in, and has no valid token."""


class UserModel(Table):
    """One item a user."""

    table_setting = "users_table"

    class Meta:
        table_name = "set by Table"

    username = UnicodeAttribute(hash_key=True)
    password_hash = UnicodeAttribute()
    role = UnicodeAttribute()
    token_generation = NumberAttribute()
    created_at = NumberAttribute()
    updated_at = NumberAttribute()
    change_id = UnicodeAttribute(null=True)
    """The id of the write that made this version: after a lost answer it shows whether the write was ours."""
    disabled_at = NumberAttribute(null=True)
    reset_digest = UnicodeAttribute(null=True)
    """The hash of the one-time code that may set a new password, until the second `reset_expires_at`."""
    reset_expires_at = NumberAttribute(null=True)
    name_key = UnicodeAttribute(null=True)
    """The folded name that this user holds in the table; users of earlier releases hold theirs from a sign-in on."""


class NameModel(Table):
    """A name without its case, held by the one user who may have it; it lies in the users table under its own key."""

    table_setting = "users_table"

    class Meta:
        table_name = "set by Table"

    key = UnicodeAttribute(hash_key=True, attr_name="username")
    held_by = UnicodeAttribute()


class InvitationModel(Table):
    """An invitation, under the hash of its code; it lies in the users table under a key that no username can have."""

    table_setting = "users_table"

    class Meta:
        table_name = "set by Table"

    key = UnicodeAttribute(hash_key=True, attr_name="username")
    invited = UnicodeAttribute(null=True)
    """The only name for which it is valid; None for any name."""
    created_by = UnicodeAttribute()
    expires_at = NumberAttribute()


class AttemptsModel(Table):
    """Failed attempts to sign in, one item a name that was tried, whether there is such a user or not.

    They lie in the users table under keys that no username can have.
    """

    table_setting = "users_table"

    class Meta:
        table_name = "set by Table"

    key = UnicodeAttribute(hash_key=True, attr_name="username")
    failures = NumberAttribute()
    locked_until = NumberAttribute()
    expires_at = NumberAttribute()


def user_from_item(item: Item) -> User:
    """Read the user in an item."""
    return User(
        username=item["username"]["S"],
        role=Role(item["role"]["S"]),
        token_generation=int(item["token_generation"]["N"]),
        created_at=int(item["created_at"]["N"]),
        updated_at=int(item["updated_at"]["N"]),
        disabled="disabled_at" in item,
    )
