"""A body becomes text by its byte order mark or its charset, whatever a server writes there."""

import codecs
import encodings.aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway.outbound.charsets import decode_body


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("utf-8", "grüße".encode(), "grüße"),
        ("UTF8", "grüße".encode(), "grüße"),
        ('"utf-8"', "grüße".encode(), "grüße"),
        ("'latin1'", b"gr\xfc\xdfe", "grüße"),
        ("iso-8859-9", "ığ".encode("iso-8859-9"), "ığ"),
        ("windows-1253", "αβ".encode("cp1253"), "αβ"),
        ("cp1254", "ığ".encode("cp1254"), "ığ"),
        ("KOI8-U", "ґ".encode("koi8-u"), "ґ"),
        ("macintosh", "é".encode("mac_roman"), "é"),
        ("IBM437", "é".encode("cp437"), "é"),
        ("tis-620", "ก".encode("tis-620"), "ก"),
        ("Shift_JIS", "日本".encode("shift_jis"), "日本"),
        ("iso-2022-jp", "日本".encode("iso-2022-jp"), "日本"),
        ("big5-hkscs", "香港".encode("big5hkscs"), "香港"),
        ("utf-16", "hé".encode("utf-16"), "hé"),
        ("utf-16", "hé".encode("utf-16-le"), "hé"),
        ("utf-16be", "hé".encode("utf-16-be"), "hé"),
        ("utf-16le", codecs.BOM_UTF16_LE + "hé".encode("utf-16-le"), "hé"),
        ("utf-32", "hé".encode("utf-32"), "hé"),
        ("utf-8", codecs.BOM_UTF8 + b"hello", "hello"),
        ("iso-8859-1", codecs.BOM_UTF8 + "é".encode(), "é"),
        ("utf-8", codecs.BOM_UTF16_BE + "hé".encode("utf-16-be"), "hé"),
    ],
)
def test_text_is_decoded_by_its_mark_or_charset(charset: str, body: bytes, text: str) -> None:
    assert decode_body(body, f"text/plain; charset={charset}", is_truncated=False) == text


NO_CHARSETS = [
    "base64",
    "rot13",
    "zlib",
    "bz2",
    "hex",
    "uu",
    "quopri",
    "idna",
    "punycode",
    "unicode_escape",
    "undefined",
]
NO_CHARSETS += ["raw_unicode_escape", "mbcs", "no-such-thing", "..", "os.path", "x" * 1_000, "ü", "\0", '"', ""]


@pytest.mark.parametrize("charset", NO_CHARSETS)
def test_what_is_no_charset_counts_as_utf_8(charset: str) -> None:
    assert decode_body("aGVsbG8 \\u0041 ü".encode(), f"text/plain; charset={charset}", is_truncated=False) == (
        "aGVsbG8 \\u0041 ü"
    )


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("utf-16", b"hello"),
        ("utf-16", b"\xff\xfeh"),
        ("utf-16", b"\x00\xd8"),
        ("utf-32", b"hell"),
        ("utf-8", b"gr\xfc\xdfe"),
        ("us-ascii", b"gr\xfc\xdfe"),
        ("shift_jis", b"\x81"),
        ("utf-7", b"+2AA-"),
        ("hz", b"~{\xff"),
    ],
)
def test_bytes_that_the_charset_does_not_know_are_no_text(charset: str, body: bytes) -> None:
    assert decode_body(body, f"text/plain; charset={charset}", is_truncated=False) is None


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-32", "shift_jis", "gb18030", "euc-jp"])
def test_a_character_that_truncation_cut_is_left_out(charset: str) -> None:
    body = "日本".encode(charset)[:-1]
    assert decode_body(body, f"text/plain; charset={charset}", is_truncated=True) == "日"
    assert decode_body(body, f"text/plain; charset={charset}", is_truncated=False) is None


NAMES = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()})


@given(st.sampled_from(NAMES) | st.text(max_size=20), st.binary(max_size=40), st.booleans())
def test_any_charset_and_bytes_are_text_or_not(charset: str, body: bytes, is_truncated: bool) -> None:
    text = decode_body(body, f"text/plain; charset={charset}", is_truncated=is_truncated)
    assert text is None or text.encode().decode() == text
