"""Requests: bodies and parameters parsed to types, exactly and within bounds, from the bytes that arrived."""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar, get_args
from urllib.parse import unquote

import msgspec
from chalice.app import Request
from msgspec import Meta, Raw

from api.headers import media_type, require_plain_utf8
from api.json_numbers import read_fraction, write_whole_numbers
from api.problems import BodyTooLargeError, UnsupportedMediaTypeError
from leaseway.errors import InvalidInputError
from leaseway.settings import settings
from leaseway.validation import USER_ID_PATTERN, refusal, whole_match

Parsed = TypeVar("Parsed", bound=msgspec.Struct)

_AMOUNT_PATTERN = r"^-?(0|[1-9]\d{0,15})(\.\d{1,4})?$"
_NAME_LIMIT = 100

PLAIN_TEXT = {"pattern": r"^[^\x00-\x1f\x7f]*$"}
"""What `plain_text` admits, for the OpenAPI document."""

UserId = Annotated[
    Annotated[str, whole_match(USER_ID_PATTERN)] | Annotated[int, Meta(ge=0)],
    Meta(
        description="Letters, digits and `. _ @ : -`, up to 128. The number 1 and the string `1` are the same account.",
        examples=["alice"],
    ),
]
Amount = Annotated[
    Raw,
    Meta(
        description="A decimal with at most the currency's places (two, unless the deployment says otherwise), read"
        " exactly as written; a string says the same as a number. At most 10,000,000,000 either way by default.",
        extra_json_schema={"anyOf": [{"type": "number"}, {"type": "string", "pattern": _AMOUNT_PATTERN}]},
        examples=[100.5],
    ),
]
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Your own note on the change, without control characters; kept with its ledger entry.",
        extra_json_schema=PLAIN_TEXT,
    ),
]

Owner = Annotated[str, whole_match(rf"^(\*|{USER_ID_PATTERN.strip('^$')})$")]

_user_id = re.compile(USER_ID_PATTERN)
# A JSON number, bare or in quotes. Exponents of four digits and more are refused unread: 1e400 is judged, not built.
_amount = re.compile(rb'("?)(-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?)\1')
_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_control = re.compile(r"[\x00-\x1f\x7f]")
_json_type = re.compile(r"application/([\w.-]+\+)?json", re.ASCII)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_whole_number = re.compile(r"(-?\d{1,18})(?:\.0{1,18})?", re.ASCII)


class BodyReader(Generic[Parsed]):
    """Reads one type of JSON body. Made once a route, because the decoder is."""

    def __init__(self, kind: type[Parsed], *, optional: bool = False) -> None:
        self._decoder = msgspec.json.Decoder(kind, float_hook=read_fraction)
        self._instead_of_none = b"{}" if optional else b""

    def read(self, request: Request) -> Parsed:
        """The body as its type.

        Raises:
            UnsupportedMediaTypeError: the content type is not JSON, or its charset not UTF-8, or it is compressed.
            BodyTooLargeError: more than `BODY_LIMIT` bytes.
            InvalidInputError: not JSON, or not of this type; names the field.
        """
        _require_json(request)
        raw = raw_body(request) or self._instead_of_none
        if not raw:
            raise InvalidInputError("The body is empty; send a JSON object.")
        if raw.startswith(_BYTE_ORDER_MARK):
            raise InvalidInputError("The body begins with a byte order mark; send UTF-8 without one.")
        try:
            parsed = self._decode(raw)
            _refuse_repeated_names(raw)
        except msgspec.ValidationError as problem:
            raise refusal(problem) from problem
        except (ValueError, RecursionError) as problem:
            raise InvalidInputError(_why_not_json(raw, problem)) from problem
        return parsed

    def _decode(self, raw: bytes) -> Parsed:
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError:
            # 5.0 is an integer in JSON Schema, but none to msgspec: only a body that has one is read twice.
            rewritten = write_whole_numbers(raw)
            if rewritten == raw:
                raise
            return self._decoder.decode(rewritten)


class QueryReader(Generic[Parsed]):
    """Reads one type of query parameters: text, and whole numbers where the type says `int`."""

    def __init__(self, kind: type[Parsed]) -> None:
        self._kind = kind
        self._whole_numbers = {field.encode_name for field in msgspec.structs.fields(kind) if _is_int(field.type)}

    def read(self, request: Request) -> Parsed:
        """The query parameters as their type.

        Raises:
            InvalidInputError: one is unknown, repeated, or not of its type; names it.
        """
        arrived: Mapping[str, list[str]] = request.to_original_event().get("multiValueQueryStringParameters") or {}
        parameters: dict[str, Any] = {}
        for name, values in arrived.items():
            if len(values) != 1:
                raise InvalidInputError("is given more than once", field=name[:_NAME_LIMIT])
            parameters[name] = _number(name, values[0]) if name in self._whole_numbers else values[0]
        try:
            return msgspec.convert(parameters, self._kind)
        except msgspec.ValidationError as problem:
            raise refusal(problem) from problem


def user_id(value: str | int, *, field: str = "userId") -> str:
    """The id of a user as the string that the account is kept under.

    Raises:
        InvalidInputError: too long, or characters that an id cannot have.
    """
    text = str(value)
    if not _user_id.fullmatch(text):
        raise InvalidInputError("must be 1 to 128 letters, digits or . _ @ : - and start with one", field=field)
    return text


def moment(text: str, field: str) -> int:
    """A time in RFC 3339, as milliseconds since the epoch; what is finer is dropped.

    Raises:
        InvalidInputError: it is no such time, or has no offset.
    """
    # In a query a plus sign arrives as a space, where it was not escaped.
    escaped = re.sub(r" (?=\d\d:\d\d$)", "+", text)
    try:
        if not _rfc3339.fullmatch(escaped):
            raise ValueError
        return int(datetime.fromisoformat(escaped.upper()).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidInputError("must be a time such as 2026-02-04T15:30:00Z", field=field) from None


def path_text(value: str) -> str:
    """A path parameter, decoded where the gateway has not: no id contains a percent sign."""
    return unquote(value, errors="replace") if "%" in value else value


def amount(raw: Raw, *, field: str = "amount") -> Decimal:
    """The number exactly as it was written, never through binary floating point.

    Raises:
        InvalidInputError: not a JSON number, nor one in quotes.
    """
    text = _amount.fullmatch(bytes(raw))
    if text is None:
        raise InvalidInputError("must be a decimal number such as 100.50", field=field)
    return Decimal(text[2].decode())


def plain_text(value: str | None, field: str) -> str | None:
    """Text without control characters.

    Raises:
        InvalidInputError: it has some.
    """
    if value is not None and _control.search(value):
        raise InvalidInputError("must not contain control characters", field=field)
    return value


def _require_json(request: Request) -> None:
    if request.headers.get("content-type") is not None and not _json_type.fullmatch(media_type(request)):
        raise UnsupportedMediaTypeError("Send the body with Content-Type: application/json.")


def raw_body(request: Request) -> bytes:
    """The body's bytes.

    Raises:
        UnsupportedMediaTypeError: compressed, or in another charset than UTF-8.
        BodyTooLargeError: more than `BODY_LIMIT` of them.
        InvalidInputError: not UTF-8.
    """
    require_plain_utf8(request)
    event: Mapping[str, Any] = request.to_original_event()
    body: str = event.get("body") or ""
    limit = settings().body_limit
    encoded = bool(event.get("isBase64Encoded"))
    if len(body) * (3 if encoded else 4) > limit * 4 + 8:
        raise _too_large(limit)
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body.encode()
        raw.decode()
    except ValueError as problem:
        raise InvalidInputError("The body is not valid UTF-8 text.") from problem
    # A gateway that hands over text has put this character where bytes were no UTF-8. JSON can spell it \\ufffd.
    if not encoded and "\N{REPLACEMENT CHARACTER}" in body:
        raise InvalidInputError("The body is not valid UTF-8 text, or has U+FFFD in it; in JSON, write \\ufffd.")
    if len(raw) > limit:
        raise _too_large(limit)
    return raw


def _why_not_json(raw: bytes, problem: Exception) -> str:
    try:
        json.dumps(json.loads(raw, parse_int=len, parse_float=len), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "The body has half of a surrogate pair, such as \\ud800 alone, which stands for no character."
    except (ValueError, RecursionError):
        pass
    return f"The body is not valid JSON: {problem}"


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"A body may have {limit} bytes.", limit=limit)


def _refuse_repeated_names(raw: bytes) -> None:
    # Two readers of {"amount": 1, "amount": 2} may see two amounts, so nobody gets to choose.
    json.loads(raw, object_pairs_hook=_once_each, parse_int=len, parse_float=len)


def _once_each(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({name for name, _ in pairs}) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        raise InvalidInputError("is given more than once", field=counted.most_common(1)[0][0][:_NAME_LIMIT])


def _is_int(kind: Any) -> bool:
    return kind is int or any(_is_int(part) for part in get_args(kind))


def _number(name: str, text: str) -> int:
    matched = _whole_number.fullmatch(text)
    if matched is None:
        raise InvalidInputError("must be a whole number", field=name)
    return int(matched[1])


def milliseconds(moment: datetime | None) -> int | None:
    """A moment of a request in milliseconds since the epoch."""
    return None if moment is None else round(moment.timestamp() * 1000)
