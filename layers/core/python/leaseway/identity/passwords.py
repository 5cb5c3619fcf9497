"""Passwords: argon2id hashes, and rules for new ones.

argon2 and zxcvbn are imported by the first call that needs them: no other request pays for them.
"""

import math
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from leaseway.errors import InvalidInputError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 8
LONGEST = 128
# With lock-out, a million online guesses would take decades.
_FEWEST_GUESSES_LOG10 = 6.0
_ESTIMATED_CHARACTERS = 72  # the estimate's cost grows with the square of the length
_PRODUCT_WORDS = ("leaseway",)
_MOST_COMBINATIONS = 8  # of what l33t may stand for

NO_PASSWORD = "none"  # noqa: S105 - it is none
"""Stands for the hash of a user who has not set a password yet: no password matches it."""

# The hash of an unknown password: checking an unknown user costs as much as checking a known one.
_DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1$0h3OVwKAbExab9KS3JLFog$pOAq17w7jKcGkjGN9CBXpAfeTylS/5VW44ggE5bxEAY"


class WeakPasswordError(InvalidInputError):
    """The password is too easy to guess."""

    code = "WEAK_PASSWORD"


def check_new_password(password: str, username: str, *, field: str = "password") -> None:
    """Refuse what is too short, too long, or among the first million guesses. About 1 ms, 20 ms at the longest.

    Raises:
        WeakPasswordError: says which; the password itself is in no message.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPasswordError(f"must have {SHORTEST} to {LONGEST} characters", field=field)
    from zxcvbn import zxcvbn  # noqa: PLC0415

    estimate = zxcvbn(_bound_substitutions(password[:_ESTIMATED_CHARACTERS]), user_inputs=[username, *_PRODUCT_WORDS])
    if estimate["guesses_log10"] < _FEWEST_GUESSES_LOG10:
        raise WeakPasswordError(
            "is among the first that anybody would try: make it longer, of words that do not belong together",
            field=field,
        )


def _bound_substitutions(password: str) -> str:
    """Spell each letter's l33t in one way if the password mixes many.

    zxcvbn tries every combination of what `4`, `@`, `1`, `|`, ... may stand for: seconds of CPU for one hostile text.
    """
    from zxcvbn.matching import L33T_TABLE  # noqa: PLC0415

    combinations = math.prod(max(1, len(set(spellings) & set(password))) for spellings in L33T_TABLE.values())
    if combinations <= _MOST_COMBINATIONS:
        return password
    one_spelling: dict[str, str | int | None] = {}
    for spellings in L33T_TABLE.values():
        for spelling in spellings:
            one_spelling.setdefault(spelling, spellings[0])
    return password.translate(str.maketrans(one_spelling))


def hash_password(password: str) -> str:
    """Compute the argon2id hash (19 MiB, two passes, one lane) with a salt of its own. About 30 ms of one CPU."""
    return _hasher().hash(_normal(password))


def matches(password: str, password_hash: str | None) -> bool:
    """Return whether the password has this hash. None, for a user who does not exist, costs the same and is False."""
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415

    if password_hash == NO_PASSWORD:
        password_hash = None
    try:
        _hasher().verify(password_hash or _DUMMY_HASH, _normal(password[: LONGEST + 1]))
    except VerifyMismatchError:
        return False
    return password_hash is not None


@lru_cache(maxsize=1)
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher, Type  # noqa: PLC0415

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


def _normal(password: str) -> bytes:
    # Keyboards disagree on how an accented letter is spelled; lone surrogates, which JSON admits, are no text at all.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
