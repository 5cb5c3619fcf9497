"""Connections to the very addresses that were checked, whose every read has a time limit."""

import socket
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from leaseway.outbound.urls import Target


class Patience(msgspec.Struct, frozen=True):
    """How long to wait: `step` seconds for one connection or read, and never past the time that remains in total."""

    step: float
    remaining: Callable[[], float]

    def seconds(self) -> float:
        """The wait that may begin now.

        Raises:
            TimeoutError: no time remains.
        """
        wait = min(self.step, self.remaining())
        if wait <= 0:
            raise TimeoutError("no time remains")
        return wait


class BoundedSocket(socket.socket):
    """A socket that asks its patience before every read: a server that drips bytes cannot hold it."""

    patience: Patience

    def recv_into(self, *args: Any, **options: Any) -> int:  # noqa: D102 - the parent's
        self.settimeout(self.patience.seconds())
        return super().recv_into(*args, **options)


class BoundedTlsSocket(ssl.SSLSocket):
    """A BoundedSocket over TLS."""

    patience: Patience

    def recv_into(self, *args: Any, **options: Any) -> int:  # noqa: D102 - the parent's
        self.settimeout(self.patience.seconds())
        return super().recv_into(*args, **options)


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """The system's certificate authorities; loading them takes 10 ms and more, so once a process."""
    context = ssl.create_default_context()
    context.sslsocket_class = BoundedTlsSocket
    return context


def connect(target: Target, addresses: Sequence[str], patience: Patience) -> socket.socket:
    """A connection to the first of the addresses that accepts one. For https the certificate must be the host's.

    Raises:
        OSError: none accepts, in time; or TLS fails.
    """
    opened = _first_open(addresses, target.port, patience)
    if target.scheme == "http":
        return opened
    try:
        secured = trust().wrap_socket(opened, server_hostname=target.host.rstrip("."))
    except BaseException:
        opened.close()
        raise
    assert isinstance(secured, BoundedTlsSocket)  # noqa: S101 - tells the type checker what trust() arranged
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
        opened.settimeout(patience.seconds())
        opened.connect((address, port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(patience.seconds())
    except BaseException:
        opened.close()
        raise
    return opened
