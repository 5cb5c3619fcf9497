"""Cross-origin requests: pages of the origins that CORS_ORIGINS names may call the API, no others.

Answered here and not by the gateway, which can name one origin at most, and on some engines none.
"""

from collections.abc import Collection

from chalice.app import Request, Response

from leaseway.settings import settings

_ALLOWED_HEADERS = "authorization, content-type, idempotency-key, if-match"
_SHOWN_HEADERS = "x-request-id, location, retry-after, etag"
_REMEMBERED_SECONDS = "600"


def preflight(request: Request, methods: Collection[str]) -> Response:
    """The answer to OPTIONS: the path's methods, and what a page may send, if its origin is one that is named."""
    headers: dict[str, str | list[str]] = {"allow": ", ".join(list_methods(methods))}
    if _find_named_origin(request):
        headers |= {
            "access-control-allow-methods": ", ".join(sorted(methods)),
            "access-control-allow-headers": _ALLOWED_HEADERS,
            "access-control-max-age": _REMEMBERED_SECONDS,
        }
    return Response("", headers, 204)


def list_methods(methods: Collection[str]) -> list[str]:
    """Return the methods that a path takes, as `Allow` lists them: those of its routes, OPTIONS, and HEAD as GET."""
    return sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})


def admit_origin(request: Request, response: Response) -> None:
    """Let a page of a named origin read the response."""
    if not settings().cors_origins:
        return
    response.headers["vary"] = "origin"
    if origin := _find_named_origin(request):
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = _SHOWN_HEADERS


def _find_named_origin(request: Request) -> str | None:
    origin: str | None = request.headers.get("origin")
    named = {name.strip().rstrip("/") for name in settings().cors_origins.split(",")}
    return origin if origin and origin in named else None
