"""The API function: Chalice routes behind an API Gateway REST API (Lambda proxy events)."""

from leaseway import coldstart

with coldstart.loading():
    import time
    from collections.abc import Callable
    from typing import TYPE_CHECKING, Any

    from chalice.app import Chalice, Request, Response

    from api import cors, security
    from api.blueprints import Blueprints
    from api.problems import MethodNotAllowedError, RouteNotFoundError, problem
    from api.routes import RaisedByViewError, current_request
    from leaseway import metrics
    from leaseway.errors import LeasewayError
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Answers are about one caller; pages and the document say otherwise themselves.
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

app = Chalice(app_name="leaseway", configure_logs=False, env={})
blueprints = Blueprints(app)


@app.middleware("http")
def answer(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Everything around a view: errors become problems, the request gets its id back and one line in the log."""
    started = time.perf_counter_ns()
    current_request.set(request)
    request_id = request.context["requestId"]
    bug: Exception | None = None
    try:
        response = _dispatch(request, get_response)
    except Exception as raised:
        error = raised.__cause__ if isinstance(raised, RaisedByViewError) else raised
        assert isinstance(error, Exception)  # noqa: S101 - only `operation` raises the carrier, from an Exception
        response = problem(error, request_id, is_read=request.method in ("GET", "HEAD"))
        bug = error if response.status_code == 500 or not isinstance(error, LeasewayError) else None
        if response.status_code in (401, 403):
            security.record(request, "refused", getattr(error, "code", ""), method=request.method, route=request.path)
    cors.admit_origin(request, response)
    response.headers.update({name: response.headers.get(name, value) for name, value in _HEADERS.items()})
    response.headers["x-request-id"] = request_id
    milliseconds = round((time.perf_counter_ns() - started) / 1e6, 2)
    _log(request, response.status_code, milliseconds, bug)
    _note(request, response.status_code, milliseconds)
    return response


@metrics.flush_after("api")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one Lambda proxy event: HEAD as GET, without the body."""
    if event["requestContext"]["httpMethod"] == "HEAD":
        return _without_body(app(_as_get(event), context))
    response: dict[str, Any] = app(event, context)
    return response


def _as_get(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "httpMethod": "GET", "requestContext": {**event["requestContext"], "httpMethod": "GET"}}


def _without_body(response: dict[str, Any]) -> dict[str, Any]:
    length = str(len(response["body"].encode()))
    return {**response, "body": "", "headers": {**response["headers"], "content-length": length}}


def _dispatch(request: Request, get_response: Callable[[Request], Response]) -> Response:
    blueprints.load(request.path)
    # The gateway lets only declared routes through; an engine or an operator that does not gets the same answers.
    methods = app.routes.get(request.path)
    if methods is None:
        raise RouteNotFoundError
    if request.method == "OPTIONS":
        return cors.preflight(request, methods)
    if request.method not in methods:
        raise MethodNotAllowedError(allowed=cors.list_methods(methods))
    return get_response(request)


def _log(request: Request, status: int, milliseconds: float, bug: Exception | None) -> None:
    facts = {
        "action": "request",
        "request_id": request.context["requestId"],
        "method": request.method,
        "route": request.path,
        "status": status,
        "ms": milliseconds,
    }
    if bug:
        log.error("request", exc_info=bug, extra=facts)
    else:
        log.info("request", extra=facts)


def _note(request: Request, status: int, milliseconds: float) -> None:
    # Only what is declared becomes a dimension: what is not is the caller's own words.
    declared = request.method in (*app.routes.get(request.path, ()), "OPTIONS") and request.path in app.routes
    route = f"{request.method} {request.path}" if declared else "other"
    metrics.note("HttpDuration", milliseconds, route=route, status=f"{status // 100}xx")
    metrics.note("HttpErrors", status >= 500)
