"""Reads users, signs them in, and changes their passwords."""

import uuid

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import LeasewayError, NotFoundError
from leaseway.identity import lockout, passwords
from leaseway.identity.model import User, UserModel, user_from_item
from leaseway.identity.names import hold_earlier_name, is_username


class UserNotFoundError(NotFoundError):
    """There is no such user."""

    code = "USER_NOT_FOUND"


class BadCredentialsError(LeasewayError):
    """The username or the password is wrong."""

    code = "BAD_CREDENTIALS"


class UserDisabledError(BadCredentialsError):
    """The user is disabled: ask an Admin."""

    code = "USER_DISABLED"


def get_user(username: str) -> User:
    """Read the user of a name. One consistent read.

    Raises:
        UserNotFoundError: there is none.
    """
    item = UserModel.read(username) if is_username(username) else None
    if item is None:
        raise UserNotFoundError
    return user_from_item(item)


def sign_in(username: str, password: str) -> User:
    """Check a name and a password; returns the user.

    Two reads, one write and about 30 ms, whether the user exists or not. Two writes more at the first sign-in of a user
    of an earlier release.

    Raises:
        BadCredentialsError: there is no such user, or the password is wrong; the error does not show which.
        UserDisabledError: the password is right, but the user is disabled.
        LockedOutError: too many failures before; the password was not even tried.
    """
    if not is_username(username):
        raise BadCredentialsError
    seen = lockout.check_unlocked(username)
    item = UserModel.read(username)
    if not passwords.matches(password, item["password_hash"]["S"] if item else None):
        lockout.record_failure(username, seen)
        raise BadCredentialsError
    assert item is not None  # noqa: S101 - no password matches a user who does not exist
    lockout.clear_failures(username)
    if "name_key" not in item:
        hold_earlier_name(username)
    user = user_from_item(item)
    if user.disabled:
        raise UserDisabledError
    return user


def change_password(username: str, present: str, new: str) -> User:
    """Give a user a new password, which revokes all earlier tokens. Reads and writes as `sign_in`, one write more.

    Raises:
        BadCredentialsError, LockedOutError: as `sign_in`, for the present password.
        WeakPasswordError: the new one is too short or too common.
    """
    passwords.check_new_password(new, username, field="new_password")
    user = sign_in(username, present)
    # The password was checked for this generation: if another change came between, this one must not happen.
    unchanged = UserModel.token_generation == user.token_generation
    change_id = uuid.uuid4().hex
    actions = [
        UserModel.password_hash.set(passwords.hash_password(new)),
        UserModel.token_generation.add(1),
        UserModel.updated_at.set(clock.now_ms()),
        UserModel.change_id.set(change_id),
    ]
    try:
        return user_from_item(UserModel.change(username, actions, unchanged))
    except ConditionRefusedError as refusal:
        # The SDK repeats a write whose answer was lost, and the repeat meets what the first one wrote.
        if refusal.item is not None and refusal.item.get("change_id") == {"S": change_id}:
            return user_from_item(refusal.item)
        raise BadCredentialsError from None
