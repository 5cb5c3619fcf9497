"""Resolves a host name once per hop, so that the addresses that were checked are the ones that are used."""

import socket
from queue import Empty, SimpleQueue
from threading import Thread

from leaseway.outbound.addresses import is_public
from leaseway.outbound.urls import RequestTarget, UrlRefusedError

ADDRESSES_TRIED = 4


def admit_addresses(target: RequestTarget, seconds: float) -> list[str]:
    """Look up the addresses that may be connected to for this target: best first, at most four.

    One private address among public ones refuses the name: an honest name has no such mixture.

    Raises:
        UrlRefusedError: the name leads to an address that is not public, and the pair is not allowed.
        OSError: the name does not exist, or the resolver did not answer within `seconds`.
    """
    addresses = [target.host] if target.is_literal else _look_up(target, seconds)
    if not target.is_allowed_private and not all(is_public(address) for address in addresses):
        raise UrlRefusedError(f"{target.host} leads to an address that is not public")
    return addresses[:ADDRESSES_TRIED]


def _look_up(target: RequestTarget, seconds: float) -> list[str]:
    # The system's resolver has no time limit that a caller could set, so the caller stops waiting for it.
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()
    Thread(target=_resolve, args=(target, answers), name=f"resolve {target.host}", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"the name {target.host} was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _resolve(target: RequestTarget, answers: "SimpleQueue[list[str] | OSError]") -> None:
    try:
        # Bytes, because text goes through a codec that raises on names it does not like.
        entries = socket.getaddrinfo(target.host.encode(), target.port, type=socket.SOCK_STREAM)
    except OSError as problem:
        answers.put(problem)
    else:
        answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
