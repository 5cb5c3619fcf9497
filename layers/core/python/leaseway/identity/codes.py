"""One-time codes: random texts of 256 bits that are handed out once and stored as a hash only."""

import hashlib
import secrets

import msgspec

from leaseway import clock
from leaseway.settings import settings

_CODE_BYTES = 32
LONGEST = 100
"""The most characters of a text that is looked up as a code."""


class OneTimeCode(msgspec.Struct, frozen=True):
    """A new code, with the second (since the epoch) from which it is refused."""

    text: str
    expires_at: int

    @property
    def digest(self) -> str:
        """What is stored of it."""
        return digest_code(self.text)


def make_code() -> OneTimeCode:
    """Make a code that is valid for CODE_HOURS. No call of AWS."""
    return OneTimeCode(secrets.token_urlsafe(_CODE_BYTES), clock.now_ms() // 1000 + settings().code_hours * 3_600)


def digest_code(text: str) -> str:
    """Return the SHA-256 of a code in hexadecimal digits.

    A slow hash protects what can be guessed, and 256 random bits cannot.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
