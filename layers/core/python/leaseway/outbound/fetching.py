"""GET a URL that a user named: checked at every hop, bounded in size, in redirects and in total time."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import h11
import msgspec

from leaseway.errors import UnavailableError
from leaseway.outbound import names, sockets
from leaseway.outbound.decompression import BrokenEncodingError, decompress
from leaseway.outbound.exchange import HEADER_BYTES, TOO_LARGE, Exchange
from leaseway.outbound.sockets import Patience
from leaseway.outbound.urls import RequestTarget, check_url, resolve_redirect
from leaseway.settings import settings

_REDIRECTS = {301, 302, 303, 307, 308}
# Headers with one value: a second line of the same name is no list, and joining the two would make up a value.
_SINGLE = {"age", "content-length", "content-location", "content-range", "content-type", "date", "etag", "expires"}
_SINGLE |= {"last-modified", "location", "retry-after", "server", "access-control-allow-origin", "content-disposition"}
_SINGLE |= {"strict-transport-security", "x-content-type-options", "x-frame-options"}
# Of all others equal lines count once, which changes no list; these two mean more each time.
_REPEATED = {"content-encoding", "set-cookie"}


class FetchFailedError(UnavailableError):
    """The URL could not be fetched."""

    code = "FETCH_FAILED"


class TooManyRedirectsError(FetchFailedError):
    """The URL leads from one redirect to the next."""

    code = "TOO_MANY_REDIRECTS"


class FetchedResponse(msgspec.Struct, frozen=True):
    """What a server answered, whatever its status."""

    status: int
    headers: dict[str, str]
    """Lower-case names. Lines that differ are joined with commas; of a single-valued header the first counts."""
    body: bytes
    """Decompressed, cut at the reader's limit."""
    truncated: bool
    size: int | None
    """Bytes of the whole body; of a truncated one what the server declared, None if it declared nothing."""
    redirects: int
    url: str
    """The URL that gave this answer, after the redirects."""


def fetch(url: str, *, limit: int, remaining: Callable[[], float]) -> FetchedResponse:
    """GET `url`, following redirects, and keep at most `limit` bytes of the body. Never repeats a request.

    `remaining` returns the seconds left at any moment; once it is zero the fetch ends at its next wait.
    An answer with status 404 or 500 is an answer. One that is cut off, or is not exactly HTTP, is none.

    Raises:
        UrlRefusedError: the URL, or one it redirects to, may not be fetched.
        TooManyRedirectsError: more than `HTTP_REDIRECTS`.
        FetchFailedError: no answer or a broken one.
    """
    patience = Patience(settings().http_timeout_ms / 1000, remaining)
    target = check_url(url)
    for redirects in range(settings().http_redirects + 1):
        with _open_exchange(target, patience) as exchange:
            head = exchange.read_head()
            location = _find_location(head) if head.status_code in _REDIRECTS else None
            if not location:
                return _read_response(head, exchange, target, redirects, limit)
        target = resolve_redirect(target, location)
    raise TooManyRedirectsError(f"more than {settings().http_redirects} redirects")


@contextmanager
def _open_exchange(target: RequestTarget, patience: Patience) -> Iterator[Exchange]:
    with _translate_errors(target, patience):
        addresses = names.admit_addresses(target, patience.next_wait())
        with closing(sockets.connect(target, addresses, patience)) as connection:
            exchange = Exchange(connection)
            exchange.send_get(target)
            yield exchange


def _find_location(head: h11.Response) -> bytes | None:
    locations = {value for name, value in head.headers if name == b"location"}
    if len(locations) > 1:
        raise FetchFailedError("the answer redirects to two different places")
    return locations.pop() if locations else None


def _read_response(
    head: h11.Response, exchange: Exchange, target: RequestTarget, redirects: int, limit: int
) -> FetchedResponse:
    headers = _collect_headers(head)
    encoding = headers.get("content-encoding", "")
    body = _read_up_to(limit + 1, decompress(exchange.read_body(), encoding))
    truncated = len(body) > limit
    size = _read_declared_size(headers) if truncated else len(body)
    return FetchedResponse(head.status_code, headers, body[:limit], truncated, size, redirects, target.url)


def _collect_headers(head: h11.Response) -> dict[str, str]:
    lines: dict[str, list[str]] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("ascii"), _decode_value(raw_value)
        values = lines.setdefault(name, [])
        if not values or (name not in _SINGLE and (value not in values or name in _REPEATED)):
            values.append(value)
    return {name: ", ".join(values) for name, values in lines.items()}


def _decode_value(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _read_up_to(count: int, pieces: Iterator[bytes]) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= count:
            break
    return bytes(body[:count])


def _read_declared_size(headers: dict[str, str]) -> int | None:
    is_plain = "content-length" in headers and not {"content-encoding", "transfer-encoding"} & headers.keys()
    return int(headers["content-length"]) if is_plain else None


@contextmanager
def _translate_errors(target: RequestTarget, patience: Patience) -> Iterator[None]:
    try:
        yield
    except (OSError, h11.RemoteProtocolError, BrokenEncodingError) as problem:
        raise FetchFailedError(f"{target.pair}: {_describe(problem, patience)}") from problem


def _describe(problem: Exception, patience: Patience) -> str:
    if patience.remaining() <= 0:
        return "the job's time ran out before the answer was complete"
    if isinstance(problem, TimeoutError):
        return f"no answer within {patience.step:g} s"
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {problem.verify_message}"
    if isinstance(problem, h11.RemoteProtocolError):
        return _describe_malformed(problem)
    return str(problem) if isinstance(problem, BrokenEncodingError) else f"{type(problem).__name__}: {problem}"


def _describe_malformed(problem: h11.RemoteProtocolError) -> str:
    if problem.error_status_hint == TOO_LARGE:
        return f"the answer has more than {HEADER_BYTES} bytes of headers"
    return f"the answer is malformed: {problem}"[:300]
