"""Turns the body of an answer into text, by its byte order mark or by the charset that its Content-Type names."""

import codecs
import re
from email.message import Message

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
# A registry name, and short: Python remembers every name that it was ever asked for.
_CHARSET_NAME = re.compile(r"[a-z0-9][a-z0-9._:+ -]{0,39}")
# Python calls these text encodings, but they spell names and source code rather than pages.
_NOT_FOR_BODIES = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}


def decode_body(body: bytes, content_type: str, *, is_truncated: bool) -> str | None:
    """Decode as browsers do: a byte order mark decides, then the declared charset, then UTF-8.

    None if the body is not text: it has bytes that the charset does not know, or a NUL. An unknown charset counts as
    UTF-8. A character that truncation cut in half is left out.
    """
    charset, start = _find_charset(body, content_type)
    try:
        decoder = codecs.getincrementaldecoder(charset)("strict")
        text = decoder.decode(body[start:], final=not is_truncated)
        text.encode()  # some codecs, such as UTF-7, let through halves of surrogate pairs, which JSON cannot carry
    except UnicodeError:
        return None
    return None if "\0" in text else text


def _find_charset(body: bytes, content_type: str) -> tuple[str, int]:
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return charset, len(mark)
    declared = _read_declared_charset(content_type)
    return _WITHOUT_MARK.get(declared, declared), 0


def _read_declared_charset(content_type: str) -> str:
    header = Message()
    header["Content-Type"] = content_type
    name = (header.get_content_charset() or "").strip("'\" \t")
    return _find_text_codec(name) if _CHARSET_NAME.fullmatch(name) else "utf-8"


def _find_text_codec(name: str) -> str:
    try:
        b"0".decode(
            name
        )  # the registry's own test: compressions and other codecs from bytes to bytes are a LookupError
    except LookupError:
        return "utf-8"
    except UnicodeError:
        pass  # a text codec that does not know this one character
    canonical = codecs.lookup(name).name.replace("_", "-")
    return "utf-8" if canonical in _NOT_FOR_BODIES else canonical
