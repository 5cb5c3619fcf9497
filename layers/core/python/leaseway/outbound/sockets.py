"""Opens connections to exactly the addresses that were checked, and limits the time of every read."""

import socket
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from leaseway.outbound.urls import RequestTarget


class Patience(msgspec.Struct, frozen=True):
    """How long to wait: `step` seconds for one connection or read, and never past the time that remains in total."""

    step: float
    remaining: Callable[[], float]

    def next_wait(self) -> float:
        """Return how many seconds the wait that begins now may take.

        Raises:
            TimeoutError: no time remains.
        """
        wait = min(self.step, self.remaining())
        if wait <= 0:
            raise TimeoutError("no time remains")
        return wait


class BoundedSocket(socket.socket):
    """A socket that sets its timeout again before every read: a server that drips bytes cannot hold it."""

    patience: Patience

    def recv(self, *args: Any, **options: Any) -> bytes:  # noqa: D102 - the parent's
        self.settimeout(self.patience.next_wait())
        return super().recv(*args, **options)


class BoundedTlsSocket(ssl.SSLSocket):
    """A BoundedSocket over TLS."""

    patience: Patience

    def recv(self, *args: Any, **options: Any) -> bytes:  # noqa: D102 - the parent's
        self.settimeout(self.patience.next_wait())
        return super().recv(*args, **options)


@lru_cache(maxsize=1)
def load_trust() -> ssl.SSLContext:
    """Load the system's certificate authorities: 10 ms and more, so once per process."""
    context = ssl.create_default_context()
    context.sslsocket_class = BoundedTlsSocket
    return context


def connect(target: RequestTarget, addresses: Sequence[str], patience: Patience) -> socket.socket:
    """Connect to the first of the addresses that accepts. For https the certificate must be the host's.

    Raises:
        OSError: none accepts, in time; or TLS fails.
    """
    opened = _first_open(addresses, target.port, patience)
    if target.scheme == "http":
        return opened
    try:
        secured = load_trust().wrap_socket(
            opened,
            server_hostname=target.host.rstrip("."),
            suppress_ragged_eofs=False,  # a body that only the connection's end delimits could be cut off by anybody
        )
    except BaseException:
        opened.close()
        raise
    assert isinstance(secured, BoundedTlsSocket)  # noqa: S101 - for the type checker: load_trust() arranged it
    secured.patience = patience
    return secured


def _first_open(addresses: Sequence[str], port: int, patience: Patience) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    for address in addresses:
        try:
            return _open(address, port, patience)
        except OSError as problem:
            failure = problem
    raise failure


def _open(address: str, port: int, patience: Patience) -> socket.socket:
    opened = BoundedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.patience = patience
        opened.settimeout(patience.next_wait())
        opened.connect((address, port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(patience.next_wait())
    except BaseException:
        opened.close()
        raise
    return opened
