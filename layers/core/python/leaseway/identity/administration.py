"""What an Admin does to users. Each change is one transaction that also checks that the actor is still an Admin.

Two Admins demote each other at the same moment, both with good tokens:

    ann    {ann is an Admin, ben: Admin -> User}    committed
    ben    {ben is an Admin, ann: Admin -> User}    refused: ben is none any more, so one Admin is left
"""

import uuid
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock, cursors
from leaseway.cursors import require_page_size
from leaseway.dynamodb.query import Scan
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import TransactionCancelledError
from leaseway.errors import ConflictError, NotYoursError
from leaseway.identity import lockout
from leaseway.identity.codes import OneTimeCode, make_code
from leaseway.identity.model import Role, User, UserModel, user_from_item
from leaseway.identity.names import is_username
from leaseway.identity.user_writes import write_all
from leaseway.identity.users import UserNotFoundError, get_user
from leaseway.settings import settings


class OwnRoleError(ConflictError):
    """Admins cannot change their own role or disable themselves, so that there is always an Admin."""

    code = "OWN_ROLE"


class UserPage(msgspec.Struct, frozen=True):
    """A page of users, and the cursor of the next one; None at the end."""

    users: list[User]
    cursor: str | None


class _UserPosition(msgspec.Struct, frozen=True, array_like=True):
    after: str


class _TargetRefusedError(Exception):
    """The condition on the user who is changed was false. `item` is the user, None if there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the target refused")
        self.item = item


def page_of_users(*, size: int = 20, cursor: str | None = None) -> UserPage:
    """List users, in no order but always the same.

    A consistent scan: one call per 100 keys and one read unit per 4 KB. A page ends early, with a cursor, after
    LIST_KEY_BUDGET keys, because counts of failed sign-ins lie in the same table.

    Raises:
        InvalidInputError: the size is not from 1 to 100.
        InvalidCursorError: the cursor is not one of this list.
    """
    require_page_size(size)
    after = cursors.read(cursor, ("users",), _UserPosition).after if cursor is not None else None
    start = UserModel.key_of(after) if after is not None else None
    page = Scan(table="users_table", consistent=True, having="password_hash").page_within(
        size=size,
        keys=settings().list_key_budget,
        key_of=lambda item: {"username": item["username"]},
        start=start,
    )
    next_cursor = _sign_position(page.after["username"]["S"]) if page.after else None
    return UserPage([user_from_item(item) for item in page.items], next_cursor)


def change_role(username: str, role: Role, *, actor: str) -> User:
    """Give a user a role. A change revokes all earlier tokens, so no token carries a role that its user has lost.

    One transaction of 4 write units and one read; the same if the user has the role.

    Raises:
        OwnRoleError: the user is the actor.
        UserNotFoundError: there is no such user.
        NotYoursError: the actor is no Admin any more.
        UnavailableError, OutcomeUnknownError: DynamoDB did not take the transaction, or its answer was lost.
    """
    if username == actor:
        raise OwnRoleError
    actions = [UserModel.role.set(role.value), *_end_sessions()]
    return _administer(username, actions, actor=actor, condition=UserModel.role != role.value)


def disable_user(username: str, *, actor: str) -> User:
    """Refuse a user's sign-ins, and the user's tokens within 30 seconds. Costs and raises as `change_role`."""
    if username == actor:
        raise OwnRoleError
    actions = [UserModel.disabled_at.set(clock.now_ms()), *_end_sessions()]
    return _administer(username, actions, actor=actor, condition=UserModel.disabled_at.does_not_exist())


def enable_user(username: str, *, actor: str) -> User:
    """Let a disabled user sign in again. Costs and raises as `change_role`."""
    actions = [UserModel.disabled_at.remove()]
    return _administer(username, actions, actor=actor, condition=UserModel.disabled_at.exists())


def end_sessions(username: str, *, actor: str) -> User:
    """Revoke every token of a user within 30 seconds. Costs and raises as `change_role`, but for OwnRoleError."""
    return _administer(username, _end_sessions(), actor=actor)


def reset_password(username: str, *, actor: str) -> OneTimeCode:
    """Make a one-time code with which the user sets a new password; an earlier one is void.

    The password stays valid until the code is used. Costs and raises as `end_sessions`.
    """
    code = make_code()
    _administer(username, set_code(code), actor=actor)
    return code


def unlock_user(username: str, *, actor: str) -> User:
    """Forget a user's failed sign-ins, which ends a lock-out. Costs and raises as `end_sessions`."""
    user = get_user(username)
    try:
        write_all([UserModel.check_part(actor, _is_admin()), lockout.forget_part(username)])
    except TransactionCancelledError:
        raise NotYoursError from None
    return user


def set_code(code: OneTimeCode) -> list[Action]:
    """Return the actions that store a one-time code for a new password with its user."""
    return [UserModel.reset_digest.set(code.digest), UserModel.reset_expires_at.set(code.expires_at)]


def _administer(username: str, actions: Sequence[Action], *, actor: str, condition: Condition | None = None) -> User:
    if not is_username(username):
        raise UserNotFoundError
    with suppress(_TargetRefusedError):
        _write_change(username, actions, actor, condition)
    return get_user(username)


def _write_change(username: str, actions: Sequence[Action], actor: str, condition: Condition | None) -> None:
    """Change the user if the actor is an Admin; a transaction takes an item once, so oneself in one update."""
    target = UserModel.username.exists() & condition if condition is not None else UserModel.username.exists()
    stamp = [UserModel.updated_at.set(clock.now_ms()), UserModel.change_id.set(uuid.uuid4().hex)]
    parts: list[Part] = [] if username == actor else [UserModel.check_part(actor, _is_admin())]
    condition = target & _is_admin() if username == actor else target
    try:
        write_all([*parts, UserModel.change_part(username, [*actions, *stamp], condition)])
    except TransactionCancelledError as cancelled:
        first = cancelled.reasons[0]
        # An update of oneself also brings oneself back if there is nothing to change.
        if first.refused and not _is_admin_item(first.item):
            raise NotYoursError from None
        raise _TargetRefusedError(cancelled.reasons[-1].item) from None


def _end_sessions() -> list[Action]:
    return [UserModel.token_generation.add(1)]


def _is_admin() -> Condition:
    is_admin: Condition = (UserModel.role == Role.ADMIN.value) & UserModel.disabled_at.does_not_exist()
    return is_admin


def _is_admin_item(item: Item | None) -> bool:
    return item is not None and item["role"]["S"] == Role.ADMIN.value and "disabled_at" not in item


def _sign_position(after: str) -> str:
    return cursors.sign(_UserPosition(after), ("users",))
