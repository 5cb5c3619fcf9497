"""Ways back in: a new password by a one-time code, and an Admin made with the deployment's own rights."""

import hmac
import uuid

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import NotYoursError
from leaseway.identity import lockout, passwords
from leaseway.identity.administration import set_code
from leaseway.identity.codes import OneTimeCode, digest_code, make_code
from leaseway.identity.model import Role, User, UserModel, user_from_item
from leaseway.identity.names import is_username, require_username
from leaseway.identity.registration import create_user_without_password


class CodeRefusedError(NotYoursError):
    """The code is not this user's, has expired or was used, or the user is disabled."""

    code = "CODE_REFUSED"


def set_password_by_code(username: str, code: str, new: str) -> User:
    """Set a new password with a one-time code, which ends the user's tokens and a lock-out.

    One read, two writes and about 30 ms for the hash; only the read if the code is refused.

    Raises:
        CodeRefusedError: the code does not admit it.
        WeakPasswordError: the password is too short or too common.
    """
    item = UserModel.read(username) if is_username(username) else None
    digest = digest_code(code)
    if item is None or not _admits(item, digest):
        raise CodeRefusedError
    passwords.check_new_password(new, username, field="new_password")
    change_id = uuid.uuid4().hex
    actions = [
        UserModel.password_hash.set(passwords.hash_password(new)),
        UserModel.token_generation.add(1),
        UserModel.updated_at.set(clock.now_ms()),
        UserModel.change_id.set(change_id),
        UserModel.reset_digest.remove(),
        UserModel.reset_expires_at.remove(),
    ]
    not_expired = UserModel.reset_expires_at > clock.now_ms() // 1000
    still_admitted = (UserModel.reset_digest == digest) & not_expired & UserModel.disabled_at.does_not_exist()
    try:
        changed = UserModel.change(username, actions, still_admitted)
    except ConditionRefusedError as refusal:
        # The SDK repeats a write whose answer was lost, and the repeat meets what the first one wrote.
        if refusal.item is None or refusal.item.get("change_id") != {"S": change_id}:
            raise CodeRefusedError from None
        changed = refusal.item
    lockout.forget(username)
    return user_from_item(changed)


def make_admin(username: str) -> OneTimeCode:
    """Make a user an enabled Admin, or create one, and return a code for a new password. For the deployment's owner.

    It checks no Admin: the right to invoke the function that calls it belongs to the owner of the stack. Three
    writes at most.

    Raises:
        InvalidInputError: no user can have the name.
        UsernameTakenError: the name is an account's, or differs from a user's in case only.
    """
    require_username(username)
    code = make_code()
    actions = [
        UserModel.role.set(Role.ADMIN.value),
        UserModel.disabled_at.remove(),
        UserModel.token_generation.add(1),
        UserModel.updated_at.set(clock.now_ms()),
        UserModel.change_id.set(uuid.uuid4().hex),
        *set_code(code),
    ]
    try:
        UserModel.change(username, actions, UserModel.username.exists())
    except ConditionRefusedError:
        create_user_without_password(username, code, role=Role.ADMIN)
    lockout.forget(username)
    return code


def _admits(item: Item, digest: str) -> bool:
    stored = item.get("reset_digest", {"S": ""})["S"]
    expires_at = int(item.get("reset_expires_at", {"N": "0"})["N"])
    is_right = hmac.compare_digest(stored, digest)
    return is_right and expires_at > clock.now_ms() // 1000 and "disabled_at" not in item
