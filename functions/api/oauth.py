"""The token endpoint as RFC 6749 words it: parameters from a form or JSON, errors by its names."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal, NoReturn
from urllib.parse import parse_qsl

import msgspec
from chalice.app import Request
from msgspec import Meta

from api.headers import media_type
from api.requests import raw_body
from leaseway.errors import InvalidInputError, LeasewayError

FORM = "application/x-www-form-urlencoded"

DEFAULT_SCOPE = "leaseway"
# All of them grant the same access. The last three are accepted for compatibility, see docs/reference/compatibility.md.
SCOPES = ("leaseway", "openid", "profile", "TaskerWebAPI")

_scope = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


class TokenRequest(msgspec.Struct):
    """RFC 6749, section 4.3.2. Other fields are ignored."""

    grant_type: Literal["password"]
    username: Annotated[str, Meta(examples=["alice"], extra_json_schema={"minLength": 1})]
    password: Annotated[str, Meta(extra_json_schema={"format": "password", "minLength": 1})]
    scope: Annotated[str, Meta(description=f"Of {', '.join(SCOPES)}, separated by spaces")] = DEFAULT_SCOPE
    client_id: Annotated[str, Meta(description="Accepted and ignored: clients are not registered")] = ""


class TokenAnswer(msgspec.Struct):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(description="Seconds")]
    scope: str


class TokenErrorAnswer(msgspec.Struct):
    """RFC 6749, section 5.2."""

    error: Literal["invalid_request", "invalid_grant", "unsupported_grant_type", "invalid_scope"]
    error_description: str


class OAuthError(LeasewayError):
    """The token cannot be given. `error` is RFC 6749's name of the reason."""

    code = "OAUTH_ERROR"

    def __init__(self, error: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.error = error
        self.retry_after = retry_after


def token_request(request: Request) -> TokenRequest:
    """The parameters of a request for a token.

    Raises:
        OAuthError: one is missing, repeated or not of its kind.
        BodyTooLargeError: more than `BODY_LIMIT` bytes.
    """
    parameters = _parameters(request)
    if not parameters.get("grant_type"):
        _refuse("invalid_request", "grant_type is missing")
    if parameters["grant_type"] != "password":
        _refuse("unsupported_grant_type", "grant_type must be password")
    for name in ("username", "password"):
        if not parameters.get(name):
            _refuse("invalid_request", f"{name} is missing")
    return TokenRequest(
        "password", parameters["username"], parameters["password"], _parse_scope(parameters.get("scope", ""))
    )


def _parameters(request: Request) -> Mapping[str, str]:
    try:
        text = raw_body(request).decode()
    except (InvalidInputError, UnicodeDecodeError):
        _refuse("invalid_request", "the body is empty or no UTF-8 text")
    kind = media_type(request)
    pairs = _form(text) if kind == FORM else _json(text) if kind == "application/json" else None
    if pairs is None:
        _refuse("invalid_request", f"send the parameters as {FORM} or application/json")
    counted = Counter(name for name, _ in pairs)
    if any(count > 1 for count in counted.values()):
        _refuse("invalid_request", "a parameter is given more than once")
    return dict(pairs)


def _form(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        _refuse("invalid_request", "the form is malformed")


def _json(text: str) -> list[tuple[str, str]]:
    try:
        parsed = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        _refuse("invalid_request", "the body is not valid JSON")
    if not isinstance(parsed, list) or any(not isinstance(pair, tuple) for pair in parsed):
        _refuse("invalid_request", "the body must be a JSON object")
    if any(not isinstance(value, str) for name, value in parsed if name in TokenRequest.__struct_fields__):
        _refuse("invalid_request", "parameters must be strings")
    return [(name, value) for name, value in parsed if isinstance(value, str)]


def _parse_scope(scope: str) -> str:
    if not scope:
        return DEFAULT_SCOPE
    if not _scope.fullmatch(scope) or not set(scope.split(" ")) <= set(SCOPES):
        _refuse("invalid_scope", f"scopes are {', '.join(SCOPES)}")
    return scope


def _refuse(error: str, detail: str) -> NoReturn:
    raise OAuthError(error, detail) from None
