"""Signed, opaque pagination cursors: a client can pass one back but cannot forge one.

A cursor is `base64url(mac + position)`. The MAC (HMAC-SHA256, 128 bits) covers the version, what the cursor is bound
to (the kind of list, owner and filter) and the position, so a cursor holds no names and fits no other list.
"""

import base64
import hmac
from functools import lru_cache
from typing import TypeVar

import msgspec

from leaseway import aws
from leaseway.errors import InvalidInputError
from leaseway.settings import SettingsInvalidError, require_setting

LARGEST_PAGE = 100
"""The most items of a page of any list."""

_VERSION = 1  # in the MAC, so that a cursor of another version is simply invalid
_MAC_BYTES = 16
_LONGEST = 512
_SHORTEST_KEY = 32

Binding = tuple[str | None, ...]
"""The list that a cursor belongs to: its kind, owner and filter."""

Position = TypeVar("Position", bound=msgspec.Struct)


class InvalidCursorError(InvalidInputError):
    """The cursor does not belong to this list."""

    code = "INVALID_CURSOR"

    def __init__(self) -> None:
        super().__init__("the cursor is not one that this list handed out", field="cursor")


def require_page_size(size: int, field: str = "size") -> None:
    """Raise InvalidInputError, which names `field`, unless `size` is from 1 to `LARGEST_PAGE`."""
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidInputError(f"must be from 1 to {LARGEST_PAGE}", field=field)


def sign(position: msgspec.Struct, bound_to: Binding) -> str:
    """Return the cursor of a position. The first call of a process reads the key from Secrets Manager."""
    packed = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(_mac(packed, bound_to) + packed).rstrip(b"=").decode()


def read(cursor: str, bound_to: Binding, kind: type[Position]) -> Position:
    """Return the position in a cursor.

    Raises:
        InvalidCursorError: forged, damaged, or made for another list, owner or filter.
    """
    if len(cursor) > _LONGEST:
        raise InvalidCursorError
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursorError from None
    mac, packed = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(packed, bound_to)):
        raise InvalidCursorError
    return msgspec.msgpack.decode(packed, type=kind)


def _mac(packed: bytes, bound_to: Binding) -> bytes:
    key = _key(require_setting("cursor_secret"))
    return hmac.digest(key, msgspec.msgpack.encode((_VERSION, bound_to, packed)), "sha256")[:_MAC_BYTES]


@lru_cache(maxsize=2)
def _key(secret: str) -> bytes:
    # Kept for the life of the process: after a rotation, cursors already handed out end with the warm functions.
    key = aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"].encode()
    if len(key) < _SHORTEST_KEY:
        raise SettingsInvalidError(f"settings: the secret named by CURSOR_SECRET is shorter than {_SHORTEST_KEY} bytes")
    return bytes(key)


def forget() -> None:
    """Drop the cached key; the next cursor reads it again. For tests and after a rotation."""
    _key.cache_clear()
