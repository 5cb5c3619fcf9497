"""Names of users."""

import re

from leaseway.errors import InvalidInputError
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
