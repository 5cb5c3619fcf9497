"""Requests: bodies and parameters parsed to types, exactly and within bounds, from the bytes that arrived."""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_args
from urllib.parse import unquote

import msgspec
from chalice.app import Request

from api.headers import media_type, require_plain_utf8
from api.json_numbers import read_fraction, write_whole_numbers
from api.problems import BodyTooLargeError, UnsupportedMediaTypeError
from leaseway.errors import InvalidInputError
from leaseway.settings import settings
from leaseway.validation import refusal

Parsed = TypeVar("Parsed", bound=msgspec.Struct)

_NAME_LIMIT = 100

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


def path_text(value: str) -> str:
    """A path parameter, decoded where the gateway has not: no id contains a percent sign."""
    return unquote(value, errors="replace") if "%" in value else value


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
    # Two readers of {"amount": 1, "amount": 2} may see two amounts, so neither is accepted.
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
