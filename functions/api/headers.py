"""Request headers: their values as HTTP defines them, however many lines they came in, and what no body may declare."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalice.app import Request

from api.problems import UnsupportedMediaTypeError
from leaseway.errors import InvalidInputError

IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_KEY_PATTERN = "^[!-~]{1,255}$"

_QUOTED_LENGTH = 100

_idempotency_key = re.compile(r"[!-~]{1,255}", re.ASCII)
_etag = re.compile(r'(W/)?"(?:(\d{1,18})|[\x21\x23-\x7e\x80-\xff]*)"', re.ASCII)
_etags = re.compile(rf"[ \t,]*{_etag.pattern}(?:[ \t]*,[ \t]*(?:{_etag.pattern})?)*[ \t]*", re.ASCII)


def read_header(request: Request, name: str) -> str | None:
    """The value of a header by its lower-case name; None if it was not sent.

    Lines that differ are one list, joined with commas (RFC 9110, 5.3); equal ones, which proxies make, count once.
    """
    event: Mapping[str, Any] = request.to_original_event()
    lines: Mapping[str, Sequence[str]] = event.get("multiValueHeaders") or {}
    values = [value for sent, sent_values in lines.items() if sent.lower() == name for value in sent_values]
    if not values:
        text: str | None = request.headers.get(name)
        return text
    return ", ".join(dict.fromkeys(values))


def media_type(request: Request) -> str:
    """The content type in lower case, without parameters; empty if there is none."""
    return (read_header(request, "content-type") or "").partition(";")[0].strip().lower()


def require_plain_utf8(request: Request) -> None:
    """Refuse a body that its headers declare to be compressed, or in another charset than UTF-8.

    Raises:
        UnsupportedMediaTypeError: names the coding or the charset.
    """
    coding = (read_header(request, "content-encoding") or "").strip().lower()
    if not {part.strip() for part in coding.split(",")} <= {"", "identity"}:
        raise UnsupportedMediaTypeError(
            f"Content-Encoding {coding[:_QUOTED_LENGTH]!r} is not read; send the body as it is."
        )
    for charset in _list_charsets(read_header(request, "content-type") or ""):
        if charset.strip().lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaTypeError(f"The charset {charset[:_QUOTED_LENGTH]!r} is not read; send UTF-8.")


def _list_charsets(content_type: str) -> list[str]:
    if "charset" not in content_type.lower():
        return []
    from email.message import Message  # noqa: PLC0415 - few requests name a charset

    header = Message()
    header["content-type"] = content_type
    values = [value for name, value in header.get_params([]) if name.lower() == "charset"]
    # RFC 8187's form, charset*=utf-8''..., comes as charset, language and text.
    return [value[2] if isinstance(value, tuple) else value for value in values]


def versions_to_match(request: Request) -> frozenset[int] | None:
    """The versions that `If-Match` names by the ETags of earlier answers; None if it is `*` or there is none.

    Another's tag, or a weak one, matches nothing: RFC 9110 compares strongly here.

    Raises:
        InvalidInputError: it is no list of ETags.
    """
    text = read_header(request, "if-match")
    if text is None or text.strip() == "*":
        return None
    if not _etags.fullmatch(text):
        raise InvalidInputError('must be `*` or ETags as they were answered, such as "3"', field="If-Match")
    return frozenset(int(version) for weak, version in _etag.findall(text) if version and not weak)


def idempotency_key(request: Request) -> str | None:
    """The request's Idempotency-Key, exactly as it was sent.

    Raises:
        InvalidInputError: empty, too long, two different ones, or with anything else than visible ASCII.
    """
    key = read_header(request, IDEMPOTENCY_KEY.lower())
    if key is not None and not _idempotency_key.fullmatch(key):
        raise InvalidInputError("must be 1 to 255 visible ASCII characters, no spaces", field=IDEMPOTENCY_KEY)
    return key
