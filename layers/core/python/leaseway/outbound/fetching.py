"""GET a URL that a user named: checked at every hop, bounded in size, in redirects and in total time."""

import http.client
import ssl
import string
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote, urljoin

import msgspec
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from leaseway.errors import UnavailableError
from leaseway.outbound import names, sockets
from leaseway.outbound.sockets import Patience
from leaseway.outbound.urls import Target, check_url
from leaseway.settings import settings

HEADER_BYTES = 32_768
_CHUNK = 65_536
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": "leaseway", "Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Connection": "close"}


class FetchFailedError(UnavailableError):
    """The URL could not be fetched."""

    code = "FETCH_FAILED"


class FetchedResponse(msgspec.Struct, frozen=True):
    """What a server answered, whatever its status."""

    status: int
    headers: dict[str, str]
    """Lower-case names; repeated ones are joined with a comma."""
    body: bytes
    """Decompressed, cut at the reader's limit."""
    truncated: bool
    size: int | None
    """Bytes of the whole body; of a truncated one what the server declared, None where it declared nothing."""
    redirects: int
    url: str
    """The URL that gave this answer, after the redirects."""


def fetch(url: str, *, limit: int, remaining: Callable[[], float]) -> FetchedResponse:
    """GET `url`, following redirects, and keep at most `limit` bytes of the body. Never asks the same URL twice.

    `remaining` tells the seconds left at any moment; once it is zero the fetch ends at its next wait.
    An answer with status 404 or 500 is an answer.

    Raises:
        UrlRefusedError: the URL, or one it redirects to, may not be asked for.
        FetchFailedError: no answer, a broken one, or too many redirects.
    """
    patience = Patience(settings().http_timeout_ms / 1000, remaining)
    target = check_url(url)
    for redirects in range(settings().http_redirects + 1):
        with _request(target, patience) as response:
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return _read_response(response, target, redirects, limit)
        target = check_url(urljoin(target.url, _encoded(location)))
    raise FetchFailedError(f"more than {settings().http_redirects} redirects")


def _encoded(location: str) -> str:
    # Servers send raw spaces and letters beyond ASCII here; http.client hands their bytes over as Latin-1.
    return quote(location.encode("latin-1"), safe=string.punctuation)


@contextmanager
def _request(target: Target, patience: Patience) -> Iterator[BaseHTTPResponse]:
    with _translate_errors(target, patience), closing(_connection(target, patience)) as connection:
        connection.request("GET", target.path, headers={"Host": target.authority, **_HEADERS}, preload_content=False)
        with closing(connection.getresponse()) as response:
            yield response


def _connection(target: Target, patience: Patience) -> HTTPConnection:
    addresses = names.admitted_addresses(target, patience.seconds())
    opened = sockets.connect(target, addresses, patience)
    # urllib3 only speaks HTTP over our socket: it has no name to look up, no proxy to use and nothing to repeat.
    connection = HTTPConnection(target.host, target.port, timeout=patience.step)
    connection.sock = opened
    return connection


def _read_response(response: BaseHTTPResponse, target: Target, redirects: int, limit: int) -> FetchedResponse:
    headers = {name.lower(): ", ".join(response.headers.getlist(name)) for name in response.headers}
    if sum(len(name) + len(value) for name, value in headers.items()) > HEADER_BYTES:
        raise FetchFailedError(f"the answer has more than {HEADER_BYTES} bytes of headers")
    body = _read_body(response, limit + 1)
    truncated = len(body) > limit
    size = _declared_size(headers) if truncated else len(body)
    return FetchedResponse(response.status, headers, body[:limit], truncated, size, redirects, target.url)


def _read_body(response: BaseHTTPResponse, count: int) -> bytes:
    body = bytearray()
    while len(body) < count:
        # urllib3 inflates no further than the bytes asked for, so a compressed bomb costs one chunk.
        chunk = response.read(min(_CHUNK, count - len(body)), decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _declared_size(headers: dict[str, str]) -> int | None:
    declared = headers.get("content-length", "")
    plain = declared.isdecimal() and len(declared) <= 15 and "content-encoding" not in headers
    return int(declared) if plain else None


@contextmanager
def _translate_errors(target: Target, patience: Patience) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError, http.client.HTTPException) as problem:
        raise FetchFailedError(f"{target.pair}: {_reason(problem, patience)}") from problem


def _reason(problem: Exception, patience: Patience) -> str:
    if patience.remaining() <= 0:
        return "the job's time ran out before the answer was complete"
    if isinstance(problem, TimeoutError) or isinstance(problem.__cause__, TimeoutError):
        return f"no answer within {patience.step:g} s"
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {problem.verify_message}"
    return f"{type(problem).__name__}: {problem}"
