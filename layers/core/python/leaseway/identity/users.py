"""Signs users in, and changes their passwords and roles."""

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import ConflictError, LeasewayError, NotFoundError
from leaseway.identity import lockout, passwords
from leaseway.identity.model import Role, User, UserModel, user_from_item
from leaseway.identity.names import is_username


class UserNotFoundError(NotFoundError):
    """There is no such user."""

    code = "USER_NOT_FOUND"


class OwnRoleError(ConflictError):
    """Users cannot change their own role, so that there is always an Admin."""

    code = "OWN_ROLE"


class BadCredentialsError(LeasewayError):
    """The username or the password is wrong."""

    code = "BAD_CREDENTIALS"


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

    Two reads, one write and about 30 ms, whether the user exists or not.

    Raises:
        BadCredentialsError: there is no such user, or the password is wrong; the error does not show which.
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
    if not is_username(username):
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
