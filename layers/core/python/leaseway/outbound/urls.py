"""Which URLs may be fetched: decided from the text alone, with no look-up and no connection.

URLs are read by the WHATWG's rules, as browsers read them: spaces, backslashes, letters beyond ASCII and international
names become what a browser would send. What was checked is then what is used: no other parser sees the text again.
"""

import re
from typing import TYPE_CHECKING

import msgspec

from leaseway.errors import InvalidInputError
from leaseway.outbound.addresses import is_public
from leaseway.settings import settings

if TYPE_CHECKING:
    import can_ada

URL_LENGTH = 2_048
_QUOTED_LENGTH = 80
_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_IPV4 = re.compile(r"\d+(\.\d+){3}")


class UrlRefusedError(InvalidInputError):
    """This URL may not be fetched."""

    code = "URL_REFUSED"


class RequestTarget(msgspec.Struct, frozen=True):
    """Where a request goes. `host` is a lower-case ASCII name or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query, as they are sent."""

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address, so that there is nothing to look up."""
        return ":" in self.host or bool(_IPV4.fullmatch(self.host))

    @property
    def pair(self) -> str:
        """`host:port`, as `HTTP_ALLOWED_HOSTS` spells it."""
        return f"{_bracket(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return _bracket(self.host) if self.port == _PORTS[self.scheme] else self.pair

    @property
    def url(self) -> str:
        """The whole URL, normalised."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_allowed_private(self) -> bool:
        """Whether the deployment allows exactly this pair, even if it leads to a private address."""
        pairs = settings().http_allowed_hosts.lower().split(",")
        return self.pair in {pair.strip() for pair in pairs}


def check_url(url: str, *, field: str | None = None) -> RequestTarget:
    """Parse a URL and refuse what can be refused from its text.

    Raises:
        UrlRefusedError: it is malformed, not http or https, carries credentials, or its host is not public.
    """
    import can_ada  # noqa: PLC0415 - only requests and jobs that name a URL pay for it

    try:
        _check_characters(url)
        return _admit(can_ada.parse(url), spelling=url)
    except ValueError as problem:
        raise UrlRefusedError(str(problem), field=field) from problem


def resolve_redirect(target: RequestTarget, location: bytes) -> RequestTarget:
    """Find where a Location header leads, seen from the target that answered with it.

    Raises:
        UrlRefusedError: as for any URL.
    """
    import can_ada  # noqa: PLC0415 - as above

    # Percent-encoded bytes keep what the server sent, in a host name too: its encoding need not be known.
    text = _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], location).decode("ascii")
    try:
        return _admit(can_ada.parse(target.url) + text, spelling=target.url + text)
    except ValueError as problem:
        raise UrlRefusedError(f"the redirect to {text[:_QUOTED_LENGTH]!r} is refused: {problem}") from problem


def _check_characters(url: str) -> None:
    if len(url) > URL_LENGTH:
        raise ValueError(f"the URL is longer than {URL_LENGTH} characters")
    if _CONTROL.search(url):
        raise ValueError("the URL contains a control character")
    url.encode()  # a surrogate that stands alone is a ValueError here, and a TypeError in the parser


def _admit(url: "can_ada.URL", *, spelling: str) -> RequestTarget:
    target = _build_target(url)
    if _IPV4.fullmatch(target.host) and target.host not in spelling:
        raise ValueError("an IPv4 address must be spelled as four decimal numbers")
    if len(target.url) > URL_LENGTH:
        raise ValueError(f"the URL is longer than {URL_LENGTH} characters once it is encoded")
    if _is_known_private(target) and not target.is_allowed_private:
        raise ValueError(f"{target.host} is not a public address")
    return target


def _build_target(url: "can_ada.URL") -> RequestTarget:
    scheme = url.protocol.removesuffix(":")
    if scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if url.username or url.password:
        raise ValueError("the URL must not carry a user name or a password")
    port = int(url.port) if url.port else _PORTS[scheme]
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    host = url.hostname.removeprefix("[").removesuffix("]")
    if ":" not in host and not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is not the name of a host")
    return RequestTarget(scheme, host, port, url.pathname + url.search)


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_known_private(target: RequestTarget) -> bool:
    if target.is_literal:
        return not is_public(target.host)
    return f".{target.host}".rstrip(".").endswith(".localhost")
