"""Routes: what a blueprint declares about each, once, for Chalice, for the gateway and for the OpenAPI document."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import msgspec
from chalice.app import Blueprint, ChaliceUnhandledError, Request, Response

from api.access import Access, access_to
from api.callers import Caller, admit, require_current
from api.headers import IDEMPOTENCY_KEY, idempotency_key, versions_to_match
from api.requests import BodyReader, QueryReader, path_text
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.idempotency import IdempotencyKey

JSON = "application/json"

Body = TypeVar("Body")
Query = TypeVar("Query")

# Chalice keeps the request on the app, where threads share it; this keeps it with the call.
current_request: ContextVar[Request] = ContextVar("current_request")

_encoder = msgspec.json.Encoder(decimal_format="number")


class RaisedByViewError(ChaliceUnhandledError):
    """Carries a view's error, as its cause, past Chalice, which would answer it with a body of its own."""


class Call(msgspec.Struct, Generic[Body, Query], frozen=True, kw_only=True):
    """One request as a view sees it: parsed, bounded and authorised."""

    path: Mapping[str, str]
    body: Body
    query: Query
    caller: Caller
    request_id: str
    request: Request
    """For what nothing above says: the address it came from, a form."""
    key: IdempotencyKey | None = None
    """The request's Idempotency-Key in its scope, for an operation that takes one."""
    if_versions: frozenset[int] | None = None
    """The versions that `If-Match` names, for an operation that takes one; None for any."""


class Answer(msgspec.Struct, frozen=True):
    """A body with headers of its own."""

    body: msgspec.Struct
    headers: dict[str, str] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say about one method of one path."""

    method: str
    path: str
    path_parameters: Mapping[str, Any] = {}
    """Types, with a description, of the path's parameters that the table in infra/openapi_document.py lacks."""
    tag: str
    summary: str
    description: str = ""
    """The view's docstring."""
    status: int = 200
    answer: type[msgspec.Struct] | str
    """The type of a JSON answer, or the media type of another."""
    nothing: str = ""
    """What it means that the view answers None, a 204; empty where it never does."""
    body: type[msgspec.Struct] | None = None
    body_optional: bool = False
    """Whether a request without a body means the body's defaults."""
    form: type[msgspec.Struct] | None = None
    """The parameters that the view reads itself, from a form or JSON."""
    form_error: type[msgspec.Struct] | None = None
    """How a form is refused, where that is not a problem document."""
    query: type[msgspec.Struct] | None = None
    keyed: bool = False
    """Whether it takes an Idempotency-Key and answers a repeat as the first time."""
    conditional: bool = False
    """Whether it takes an If-Match with the ETag of what it changes."""
    rechecks_admins: bool = False
    """Whether an Admin's token is checked again, past the authorizer's cache of half a minute: for money and roles."""
    errors: tuple[type[LeasewayError], ...] = ()
    """Those of its own; what any body or query may raise is added by the generator."""
    location: bool = False
    """Whether the answer's `location` header says where the new thing can be read."""
    example: Any = None
    """An example of the request body."""

    @property
    def access(self) -> Access:
        """What the route asks of its caller, by the one table of that."""
        return access_to(self.method, self.path)


View = Callable[[Call[Any, Any]], msgspec.Struct | Answer | Response | None]


def operation(blueprint: Blueprint, declared: Operation) -> Callable[[View], View]:
    """Make a view the handler of one method of one path."""

    def register(view: View) -> View:
        chalice_view = _chalice_view(view, declared)
        chalice_view.__name__ = view.__name__
        described = msgspec.structs.replace(declared, description=view.__doc__ or "")
        chalice_view.operation = described  # type: ignore[attr-defined]
        # No content types: Chalice would check them on every method, and answer in a form of its own.
        blueprint.route(declared.path, methods=[declared.method], content_types=[])(chalice_view)
        return view

    return register


def operation_of(view_function: Callable[..., Any]) -> Operation:
    """What `operation` declared for a Chalice view."""
    declared: Operation = view_function.operation  # type: ignore[attr-defined]
    return declared


def _chalice_view(view: View, declared: Operation) -> Callable[..., Response]:
    body_reader = BodyReader(declared.body, optional=declared.body_optional) if declared.body else None
    query_reader = QueryReader(declared.query) if declared.query else None
    access = declared.access

    def chalice_view(**path: str) -> Response:
        request = current_request.get()
        try:
            caller = admit(request, access)  # before anything of the request is looked at
            if declared.rechecks_admins:
                require_current(caller)
            call = Call(
                key=_key(request, caller, declared),
                if_versions=_condition(request, declared),
                path={name: path_text(value) for name, value in path.items()},
                body=body_reader.read(request) if body_reader else None,
                query=query_reader.read(request) if query_reader else None,
                caller=caller,
                request_id=request.context["requestId"],
                request=request,
            )
            return _response(view(call), declared.status, request)
        except Exception as error:
            raise RaisedByViewError from error

    return chalice_view


def _key(request: Request, caller: Caller, declared: Operation) -> IdempotencyKey | None:
    if not declared.keyed:
        _refuse_key(request, declared)
        return None
    text = idempotency_key(request)
    return IdempotencyKey(caller.subject, f"{declared.method} {declared.path}", text) if text is not None else None


def _refuse_key(request: Request, declared: Operation) -> None:
    # Ignored, it would promise a harmless repeat that this route does not keep. Every repeat of a GET is one.
    if declared.method != "GET" and IDEMPOTENCY_KEY in request.headers:
        raise InvalidInputError("this route keeps no first answers; send it without one", field=IDEMPOTENCY_KEY)


def _condition(request: Request, declared: Operation) -> frozenset[int] | None:
    if declared.conditional:
        return versions_to_match(request)
    # Ignored, it would promise a change of one version only. A GET changes nothing.
    if declared.method != "GET" and "if-match" in request.headers:
        raise InvalidInputError("what this route changes has no ETag; send it without one", field="If-Match")
    return None


def _response(result: msgspec.Struct | Answer | Response | None, status: int, request: Request) -> Response:
    if isinstance(result, Response):
        return result
    if result is None:
        return Response("", {}, 204)
    body, headers = (result.body, result.headers) if isinstance(result, Answer) else (result, {})
    if location := headers.get("location"):
        headers = {**headers, "location": _steps_up(request) + location}
    return Response(_encoder.encode(body).decode(), {"content-type": JSON, **headers}, status)


def _steps_up(request: Request) -> str:
    # Locations are relative to the declared path. The gateway lets slashes follow it, and a client resolves from there.
    path = str(request.to_original_event().get("path") or "")
    return "../" * (len(path) - len(path.rstrip("/")))
