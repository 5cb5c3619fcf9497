"""Names of users, which are compared without their case when a user is created."""

import re
import unicodedata
from contextlib import suppress

from leaseway.dynamodb.table import ConditionRefusedError, Part
from leaseway.errors import InvalidInputError
from leaseway.identity.model import NameModel, UserModel
from leaseway.validation import USER_ID_PATTERN

_username = re.compile(USER_ID_PATTERN)


def is_username(text: str) -> bool:
    """Whether a user can have this name."""
    return _username.fullmatch(text) is not None


def require_username(text: str) -> None:
    """Raise InvalidInputError unless a user can have this name."""
    if not is_username(text):
        raise InvalidInputError(
            "must be 1 to 128 letters, digits or . _ @ : - and start with a letter, a digit or _", field="username"
        )


def fold(username: str) -> str:
    """Return the name in the form in which names are compared: NFKC and case-folded."""
    return unicodedata.normalize("NFKC", username).casefold()


def hold_parts(username: str) -> list[Part]:
    """Hold a name for a new user, in the transaction that creates the user: refused if a user differs in case only.

    A user of an earlier release holds no name before the next sign-in, so the user of the folded name is checked too.
    """
    folded = fold(username)
    item = NameModel(_key(folded), held_by=username)
    put = NameModel.put_part(item, NameModel.key.does_not_exist() | (NameModel.held_by == username))
    return [put] if folded == username else [put, UserModel.check_part(folded, UserModel.username.does_not_exist())]


def hold_earlier_name(username: str) -> None:
    """Hold the name of a user of an earlier release, unless another's is the same but for case. Two writes, once."""
    folded = fold(username)
    with suppress(ConditionRefusedError):
        NameModel.insert(NameModel(_key(folded), held_by=username))
    with suppress(ConditionRefusedError):
        UserModel.change(username, [UserModel.name_key.set(folded)], UserModel.username.exists())


def _key(folded: str) -> str:
    return f"name#{folded}"
