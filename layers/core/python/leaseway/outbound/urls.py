"""Which URLs may be asked for: decided from the text alone, with no look-up and no connection."""

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import msgspec

from leaseway.errors import InvalidInputError
from leaseway.outbound.addresses import is_public
from leaseway.settings import settings

URL_LENGTH = 2_048
_PORTS = {"http": 80, "https": 443}
_CHARACTERS = re.compile(r"[A-Za-z0-9!#$%&'()*+,\-./:;=?@\[\]_~]+")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
# What the system's resolver would read as a number: "127.1", "2130706433", "0x7f000001", "0177.0.0.1".
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")


class UrlRefusedError(InvalidInputError):
    """This URL may not be asked for."""

    code = "URL_REFUSED"


class Target(msgspec.Struct, frozen=True):
    """Where a request goes. `host` is a lower-case name or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query, as they are sent."""

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address, so that there is nothing to look up."""
        return ":" in self.host or bool(_ENDS_IN_NUMBER.fullmatch(self.host))

    @property
    def pair(self) -> str:
        """`host:port`, as `HTTP_ALLOWED_HOSTS` spells it."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return _bracketed(self.host) if self.port == _PORTS[self.scheme] else self.pair

    @property
    def url(self) -> str:
        """The whole URL, normalised."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_allowed_private(self) -> bool:
        """Whether the deployment allows this very pair, wherever it leads."""
        pairs = settings().http_allowed_hosts.lower().split(",")
        return self.pair in {pair.strip() for pair in pairs}


def check_url(url: str, *, field: str | None = None) -> Target:
    """Parse a URL and refuse what can be refused from its text.

    Raises:
        UrlRefusedError: it is malformed, not http or https, carries credentials, or its host is not public.
    """
    if len(url) > URL_LENGTH:
        raise UrlRefusedError(f"the URL is longer than {URL_LENGTH} characters", field=field)
    if not _CHARACTERS.fullmatch(url):
        raise UrlRefusedError("the URL has a character that must be percent-encoded", field=field)
    try:
        target = _target(urlsplit(url))
    except ValueError as problem:
        raise UrlRefusedError(str(problem), field=field) from problem
    if _is_known_private(target) and not target.is_allowed_private:
        raise UrlRefusedError(f"{target.host} is not a public address", field=field)
    return target


def _target(parts: SplitResult) -> Target:
    if parts.scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("the URL must not carry a user name or a password")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname or ""), port, path)


def _host(text: str) -> str:
    if ":" in text:
        return str(IPv6Address(text))
    if _ENDS_IN_NUMBER.fullmatch(text):
        return str(IPv4Address(text))
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a host")
    return text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_known_private(target: Target) -> bool:
    if target.is_literal:
        return not is_public(target.host)
    return f".{target.host}".rstrip(".").endswith(".localhost")
