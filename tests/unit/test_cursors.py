"""Cursors: opaque, signed, bound to their list."""

import base64
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway import aws, cursors
from leaseway.errors import InvalidInputError
from leaseway.settings import SettingsInvalidError
from support.call_meter import meter_calls

BOUND = ("owner", "alice", "COMPLETED", None)


class Position(msgspec.Struct, array_like=True, frozen=True):
    key: str


@pytest.fixture
def cursor(cloud: None) -> str:
    return cursors.sign(Position("0001700000000#" + "a" * 32), BOUND)


def test_a_cursor_leads_back_to_its_position(cursor: str) -> None:
    assert cursors.read(cursor, BOUND, Position) == Position("0001700000000#" + "a" * 32)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", cursor), "fits into a query string as it is"


@pytest.mark.parametrize(
    "other",
    [
        ("owner", "bob", "COMPLETED", None),
        ("owner", "alice", "FAILED", None),
        ("owner", "alice", "COMPLETED", "SLEEP"),
        ("all", "alice", "COMPLETED", None),
        ("owner", "alice", None, "COMPLETED"),
        ("owner", "aliceCOMPLETED", None, None),
    ],
)
def test_a_cursor_fits_no_other_owner_filter_or_list(cursor: str, other: cursors.Binding) -> None:
    with pytest.raises(cursors.InvalidCursorError) as refused:
        cursors.read(cursor, other, Position)
    assert isinstance(refused.value, InvalidInputError)
    assert (refused.value.code, refused.value.field) == ("INVALID_CURSOR", "cursor")


def test_no_single_bit_can_be_changed(cursor: str) -> None:
    # Given a cursor, when any one bit of it is flipped, then it is refused
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for position in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(cursors.InvalidCursorError):
            cursors.read(base64.urlsafe_b64encode(changed).decode().rstrip("="), BOUND, Position)


@pytest.mark.parametrize("hostile", ["", "=", "é", "a", "../../etc", "A" * 100_000, "AAAA\n", " ", "\x00" * 30])
def test_anything_else_is_refused(cloud: None, hostile: str) -> None:
    with pytest.raises(cursors.InvalidCursorError):
        cursors.read(hostile, BOUND, Position)


@given(text=st.text(max_size=80))
def test_no_text_is_a_cursor(text: str) -> None:
    cursors._key.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cursors, "_key", lambda _: b"k" * 32)
        with pytest.raises(cursors.InvalidCursorError):
            cursors.read(text, BOUND, Position)


def test_another_key_signs_other_cursors(cursor: str) -> None:
    # Given a cursor, when the key is rotated and the process forgets the old one, then the cursor has ended
    aws.client("secretsmanager").put_secret_value(SecretId="leaseway/cursor", SecretString="n" * 64)
    cursors.forget()
    with pytest.raises(cursors.InvalidCursorError):
        cursors.read(cursor, BOUND, Position)


def test_the_key_is_read_once_and_only_when_needed(cloud: None) -> None:
    with meter_calls() as meter:
        assert meter.count() == 0
        for _ in range(3):
            cursors.read(cursors.sign(Position("x"), BOUND), BOUND, Position)
    assert meter.operations() == {"secrets-manager.GetSecretValue": 1}


def test_a_short_key_is_refused(cloud: None) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId="leaseway/cursor", SecretString="short")
    with pytest.raises(SettingsInvalidError, match="CURSOR_SECRET"):
        cursors.sign(Position("x"), BOUND)
