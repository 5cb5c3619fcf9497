"""Errors become HTTP here and nowhere else: RFC 9457 problem documents with a stable `code`."""

from typing import Annotated, Any, ClassVar

import msgspec
from chalice.app import Response
from msgspec import Meta

from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.errors import (
    ConflictError,
    InvalidInputError,
    LeasewayError,
    MovedError,
    NotFoundError,
    NotYoursError,
    OutcomeUnknownError,
    RepeatableOutcomeUnknownError,
    UnavailableError,
)
from leaseway.idempotency import KeyReusedError
from leaseway.identity import BadCredentialsError, LockedOutError, TokenRefusedError
from leaseway.money import to_decimal

CONTENT_TYPE = "application/problem+json"
_DETAIL_LIMIT = 300

_encoder = msgspec.json.Encoder(decimal_format="number")


class HttpError(LeasewayError):
    """The request cannot be served. Only for refusals that have no error in the domain."""

    status: ClassVar[int] = 400


class RouteNotFoundError(HttpError):
    """There is no such path."""

    code = "ROUTE_NOT_FOUND"
    status = 404


class MethodNotAllowedError(HttpError):
    """The path does not take this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class BodyTooLargeError(HttpError):
    """The request body is too large."""

    code = "BODY_TOO_LARGE"
    status = 413


class UnsupportedMediaTypeError(HttpError):
    """The request body must be JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class InternalError(HttpError):
    """Something went wrong in the service."""

    code = "INTERNAL_ERROR"
    status = 500


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An RFC 9457 problem document. Some codes add further fields, such as `balance`."""

    type: Annotated[str, Meta(description="The type of problem: `urn:leaseway:problem:` and the code")]
    title: Annotated[str, Meta(description="One sentence, the same for every problem of the type")]
    status: Annotated[int, Meta(description="The HTTP status")]
    code: Annotated[str, Meta(description="Stable, for programs to decide on")]
    detail: Annotated[str, Meta(description="What happened in this case, for people to read")]
    instance: Annotated[str, Meta(description="This occurrence: `urn:leaseway:request:` and the request id")]
    field: Annotated[str | None, Meta(description="The field of the request that is wrong, if there is one")] = None


class Refusal(msgspec.Struct):
    """Why one of several items was refused."""

    code: Annotated[str, Meta(description="Stable, as in a problem document")]
    detail: str
    field: Annotated[str | None, Meta(description="The field that is wrong, if there is one")]


_STATUS_BY_KIND: dict[type[LeasewayError], int] = {
    InvalidInputError: 400,
    NotYoursError: 403,
    NotFoundError: 404,
    KeyReusedError: 422,
    MovedError: 412,
    ConflictError: 409,
    TokenRefusedError: 401,
    BadCredentialsError: 400,
    LockedOutError: 429,
    OutcomeUnknownError: 503,
    UnavailableError: 503,
}
# A fact must not hide a member of the problem itself.
_JSON_NAMES = {"user_id": "userId", "status": "job_status"}
_RETRY_LATER: dict[str, str] = {"retry-after": "1"}


def status_of(kind: type[LeasewayError]) -> int:
    """The HTTP status of a kind of error: its own, or that of the nearest kind above it."""
    if issubclass(kind, HttpError):
        return kind.status
    return next((_STATUS_BY_KIND[above] for above in kind.__mro__ if above in _STATUS_BY_KIND), 500)


def title_of(kind: type[LeasewayError]) -> str:
    """The one sentence that is the same for every problem of a kind."""
    return (kind.__doc__ or kind.code).strip().splitlines()[0]


def problem(error: Exception, request_id: str, *, is_read: bool = False) -> Response:
    """The HTTP answer for an error; one that is neither ours nor of a call of AWS becomes a 500 without its text."""
    known = error if isinstance(error, LeasewayError) else _translate(error, request_id, is_read=is_read)
    status = status_of(type(known))
    core = describe(type(known), known.detail[:_DETAIL_LIMIT], request_id, getattr(known, "field", None))
    members: dict[str, Any] = _facts(known) | msgspec.to_builtins(core)
    headers: dict[str, str | list[str]] = {"content-type": CONTENT_TYPE, **_headers(known)}
    return Response(_encoder.encode(members).decode(), headers, status)


def _translate(error: Exception, request_id: str, *, is_read: bool) -> LeasewayError:
    """A call of AWS that failed on its way may be tried again, unless it may have changed something."""
    if not isinstance(error, CALL_FAILURES) or classify_failure(error) is FailedWrite.REFUSED:
        return InternalError(f"The request id is {request_id}.")
    return UnavailableError() if is_read else OutcomeUnknownError(request_id=request_id)


def brief(error: LeasewayError) -> Refusal:
    """An error as a part of an answer that is about more than it."""
    return Refusal(error.code, error.detail[:_DETAIL_LIMIT], getattr(error, "field", None))


def describe(kind: type[LeasewayError], detail: str, request_id: str, field: str | None = None) -> Problem:
    """The document of a kind of error, without its facts."""
    return document(
        status=status_of(kind),
        code=kind.code,
        title=title_of(kind),
        detail=detail,
        request_id=request_id,
        field=field,
    )


def document(  # noqa: PLR0913 - one for each member of the document
    *, status: int, code: str, title: str, detail: str, request_id: str, field: str | None = None
) -> Problem:
    """A problem document; the gateway's own refusals are made here too."""
    return Problem(
        type=f"urn:leaseway:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        instance=f"urn:leaseway:request:{request_id}",
        field=field,
    )


def _facts(error: LeasewayError) -> dict[str, Any]:
    facts = {_JSON_NAMES.get(name, name): value for name, value in error.facts.items()}
    if isinstance(facts.get("balance"), int):
        facts["balance"] = to_decimal(facts["balance"])
    return facts


def _headers(error: LeasewayError) -> dict[str, str]:
    if status_of(type(error)) == 401:
        return {"www-authenticate": _challenge(error)}
    if isinstance(error, LockedOutError):
        return {"retry-after": str(error.facts["retry_after"])}
    if isinstance(error, MethodNotAllowedError):
        return {"allow": ", ".join(error.facts["allowed"])}
    return _RETRY_LATER if isinstance(error, UnavailableError | RepeatableOutcomeUnknownError) else {}


def _challenge(error: LeasewayError) -> str:
    # RFC 6750: a request without a token learns no more than that one is needed.
    if not isinstance(error, TokenRefusedError):
        return "Bearer"
    return f'Bearer error="invalid_token", error_description="{title_of(type(error))}"'
