"""Invitations: one-time codes that admit a registration if the deployment does not admit everyone's.

An invitation is removed in the very transaction that creates the user, so it admits one user however often it is sent.
"""

from contextlib import suppress

from pynamodb.expressions.condition import Condition

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Part
from leaseway.errors import NotYoursError
from leaseway.identity.codes import LONGEST, OneTimeCode, digest_code, make_code
from leaseway.identity.model import InvitationModel
from leaseway.identity.names import require_username


class InvitationRefusedError(NotYoursError):
    """The invitation does not exist, has expired, was used, or is for another name."""

    code = "INVITATION_REFUSED"


def invite(*, actor: str, username: str | None = None) -> OneTimeCode:
    """Create an invitation, for the one name if `username` is not None. One write unit; the code itself is not stored.

    Raises:
        InvalidInputError: no user can have the name.
    """
    if username is not None:
        require_username(username)
    code = make_code()
    item = InvitationModel(_key(code.text), invited=username, created_by=actor, expires_at=code.expires_at)
    with suppress(ConditionRefusedError):  # the key is random: what is there is this write, which the SDK repeated
        InvitationModel.insert(item)
    return code


def check_invitation(code: str, username: str) -> None:
    """Refuse an invitation that does not admit the name now, before a hash is computed. One read, none for long texts.

    Raises:
        InvitationRefusedError: it does not.
    """
    item = InvitationModel.read(_key(code)) if len(code) <= LONGEST else None
    if item is None or int(item["expires_at"]["N"]) <= clock.now_ms() // 1000:
        raise InvitationRefusedError
    if item.get("invited", {"S": username})["S"] != username:
        raise InvitationRefusedError


def use_part(code: str, username: str) -> Part:
    """Remove the invitation in the transaction that creates the user, if it still admits the name."""
    return InvitationModel.remove_part(_key(code), _admits(username))


def _admits(username: str) -> Condition:
    not_expired = InvitationModel.expires_at > clock.now_ms() // 1000
    for_this_name = InvitationModel.invited.does_not_exist() | (InvitationModel.invited == username)
    admits: Condition = not_expired & for_this_name
    return admits


def _key(code: str) -> str:
    return f"invitation#{digest_code(code)}"
