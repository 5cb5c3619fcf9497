"""Registers users, signs them in, and changes their passwords and roles."""

import re

from leaseway import clock
from leaseway.accounts.model import AccountModel
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import ConflictError, InvalidInputError, LeasewayError, NotFoundError
from leaseway.identity import lockout, passwords
from leaseway.identity.model import Role, User, UserModel, user_from_item
from leaseway.validation import USER_ID_PATTERN

_username = re.compile(USER_ID_PATTERN)


class UsernameTakenError(ConflictError):
    """There is already a user, or an account, of this name."""

    code = "USERNAME_TAKEN"


class UserNotFoundError(NotFoundError):
    """There is no such user."""

    code = "USER_NOT_FOUND"


class OwnRoleError(ConflictError):
    """Users cannot change their own role, so that an Admin is always left."""

    code = "OWN_ROLE"


class BadCredentialsError(LeasewayError):
    """The username or the password is wrong."""

    code = "BAD_CREDENTIALS"


def register(username: str, password: str, *, role: Role = Role.USER) -> User:
    """Create a user. One write unit, for a User one read before it, and about 30 ms for the hash.

    An account belongs to the user of its name, so the name of an existing account cannot be registered: its money
    would change hands. An account that was opened for a name without a user is left to an Admin.

    Raises:
        InvalidInputError: not a valid name.
        WeakPasswordError: the password is too short or too common.
        UsernameTakenError: the name is another's, or an account's.
    """
    if not _username.fullmatch(username):
        raise InvalidInputError(
            "must be 1 to 128 letters, digits or . _ @ : - and start with a letter, a digit or _", field="username"
        )
    passwords.check_new_password(password, username)
    if role is Role.USER and AccountModel.read(username) is not None:
        raise UsernameTakenError
    now = clock.now_ms()
    item = UserModel(
        username,
        password_hash=passwords.hash_password(password),
        role=role.value,
        token_generation=1,
        created_at=now,
        updated_at=now,
    )
    try:
        UserModel.insert(item)
    except ConditionRefusedError:
        raise UsernameTakenError from None
    return User(username=username, role=role, token_generation=1, created_at=now, updated_at=now)


def get_user(username: str) -> User:
    """Read the user of a name. One consistent read.

    Raises:
        UserNotFoundError: there is none.
    """
    item = UserModel.read(username) if _username.fullmatch(username) else None
    if item is None:
        raise UserNotFoundError
    return user_from_item(item)


def sign_in(username: str, password: str) -> User:
    """Check a name and a password; returns the user.

    Two reads, one write and about 30 ms, whether the user exists or not.

    Raises:
        BadCredentialsError: there is no such user, or the password is wrong; the error does not show which.
        LockedOutError: too many failures before; the password was not even tried.
    """
    if not _username.fullmatch(username):
        raise BadCredentialsError
    seen = lockout.check_unlocked(username)
    item = UserModel.read(username)
    if not passwords.matches(password, item["password_hash"]["S"] if item else None):
        lockout.record_failure(username, seen)
        raise BadCredentialsError
    assert item is not None  # noqa: S101 - no password matches a user who does not exist
    lockout.clear_failures(username)
    return user_from_item(item)


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
    actions = [
        UserModel.password_hash.set(passwords.hash_password(new)),
        UserModel.token_generation.add(1),
        UserModel.updated_at.set(clock.now_ms()),
    ]
    try:
        return user_from_item(UserModel.change(username, actions, unchanged))
    except ConditionRefusedError:
        raise BadCredentialsError from None


def change_role(username: str, role: Role, *, actor: str) -> User:
    """Give a user a role. A change revokes all earlier tokens, so no token carries a role that its user has lost.

    One write if it changes, one more read if it does not.

    Raises:
        OwnRoleError: the user is the actor.
        UserNotFoundError: there is no such user.
    """
    if username == actor:
        raise OwnRoleError
    if not _username.fullmatch(username):
        raise UserNotFoundError
    has_another_role = UserModel.username.exists() & (UserModel.role != role.value)
    actions = [
        UserModel.role.set(role.value),
        UserModel.token_generation.add(1),
        UserModel.updated_at.set(clock.now_ms()),
    ]
    try:
        return user_from_item(UserModel.change(username, actions, has_another_role))
    except ConditionRefusedError as refusal:
        if refusal.item is None:
            raise UserNotFoundError from None
        return user_from_item(refusal.item)


def ensure_admin(username: str, password: str) -> bool:
    """Create the first Admin if no user has the name. Returns whether one was created."""
    try:
        register(username, password, role=Role.ADMIN)
    except UsernameTakenError:
        return False
    return True
