"""Creates users: those who register themselves, if the deployment admits them, and those whom an Admin creates.

A user and the conditions of its creation are one transaction. An account belongs to the user of its name, so the name
of an account cannot be registered: its money would change hands.

    register   --{no account "42", put user "42"}-->         committed
    an Admin   --{no user "42", put account "42"}-->         refused, unless the request names the owner
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from leaseway import clock
from leaseway.accounts.model import AccountModel
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import TransactionCancelledError
from leaseway.errors import ConflictError, LeasewayError, NotYoursError
from leaseway.identity import passwords
from leaseway.identity.codes import OneTimeCode
from leaseway.identity.invitations import InvitationRefusedError, check_invitation, use_part
from leaseway.identity.model import Role, User, UserModel, user_from_item
from leaseway.identity.names import fold, hold_parts, require_username
from leaseway.identity.user_writes import write_all
from leaseway.settings import settings


class UsernameTakenError(ConflictError):
    """There is already a user with this name, in any case, or an account."""

    code = "USERNAME_TAKEN"


class RegistrationClosedError(NotYoursError):
    """Registration is closed: ask an Admin for a user."""

    code = "REGISTRATION_CLOSED"


class InvitationRequiredError(NotYoursError):
    """Registration needs an invitation: ask an Admin for one."""

    code = "INVITATION_REQUIRED"


class _Requirement(NamedTuple):
    """A part of the transaction that creates a user, and the error if it refuses."""

    part: Part
    error: LeasewayError


def register(username: str, password: str, *, invitation: str | None = None) -> User:
    """Create a user with the role User, if REGISTRATION admits it. About 30 ms for the hash.

    One transaction of 6 write units, 8 for a name with capitals; with an invitation 2 more, and one read before the
    hash. Refused without any call if registration is closed.

    Raises:
        RegistrationClosedError, InvitationRequiredError: the deployment does not admit it.
        InvalidInputError: not a valid name.
        WeakPasswordError: the password is too short or too common.
        InvitationRefusedError: the invitation is not valid for this name.
        UsernameTakenError: the name is another's, or an account's.
        UnavailableError, OutcomeUnknownError: DynamoDB did not take the transaction, or its answer was lost.
    """
    _check_mode(invitation)
    require_username(username)
    passwords.check_new_password(password, username)
    if invitation is None:
        return _insert_user(username, password, Role.USER, [_without_account(username)])
    check_invitation(invitation, username)
    used = _Requirement(use_part(invitation, username), InvitationRefusedError())
    return _insert_user(username, password, Role.USER, [_without_account(username), used])


def create_user(username: str, password: str, *, role: Role = Role.USER) -> User:
    """Create a user for an Admin, whatever REGISTRATION says. Costs and raises as `register` without an invitation."""
    require_username(username)
    passwords.check_new_password(password, username)
    return _insert_user(username, password, role, [_without_account(username)])


def create_user_without_password(username: str, code: OneTimeCode, *, role: Role = Role.USER) -> User:
    """Create a user who sets the first password with `code`. Costs and raises as `create_user`, without a hash."""
    require_username(username)
    return _insert_user(username, None, role, [_without_account(username)], code=code)


def ensure_admin(username: str, password: str) -> bool:
    """Create the first Admin if no user has the name. Returns whether one was created. 4 write units."""
    require_username(username)
    passwords.check_new_password(password, username)
    try:
        _insert_user(username, password, Role.ADMIN, [])
    except UsernameTakenError:
        return False
    return True


def _check_mode(invitation: str | None) -> None:
    mode = settings().registration
    if mode == "closed":
        raise RegistrationClosedError
    if mode == "invited" and invitation is None:
        raise InvitationRequiredError


def _without_account(username: str) -> _Requirement:
    return _Requirement(AccountModel.check_part(username, AccountModel.user_id.does_not_exist()), UsernameTakenError())


def _insert_user(
    username: str,
    password: str | None,
    role: Role,
    requirements: Sequence[_Requirement],
    *,
    code: OneTimeCode | None = None,
) -> User:
    now = clock.now_ms()
    item = UserModel(
        username,
        password_hash=passwords.hash_password(password) if password is not None else passwords.NO_PASSWORD,
        role=role.value,
        token_generation=1,
        created_at=now,
        updated_at=now,
        change_id=uuid.uuid4().hex,
        reset_digest=code.digest if code else None,
        reset_expires_at=code.expires_at if code else None,
        name_key=fold(username),
    )
    put = _Requirement(UserModel.put_part(item, UserModel.username.does_not_exist()), UsernameTakenError())
    name_requirements = [_Requirement(part, UsernameTakenError()) for part in hold_parts(username)]
    _write([put, *name_requirements, *requirements], item)
    return user_from_item(item.serialize())


def _write(requirements: Sequence[_Requirement], item: UserModel) -> None:
    try:
        write_all([requirement.part for requirement in requirements])
    except TransactionCancelledError as cancelled:
        # If the answer to our own put was lost, its repeat meets the user that it has created.
        if _is_made_by(item, cancelled.reasons[0].item):
            return
        for reason, requirement in zip(cancelled.reasons, requirements, strict=False):
            if reason.refused:
                raise requirement.error from None
        raise


def _is_made_by(item: UserModel, existing: Item | None) -> bool:
    return existing is not None and existing.get("change_id") == {"S": item.change_id}
