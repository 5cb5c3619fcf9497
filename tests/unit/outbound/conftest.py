"""What a test of fetching needs: settings it can change, and answers byte by byte from a real server."""

import socket
import time
from collections.abc import Callable

import pytest

from leaseway.outbound.fetching import FetchedResponse, fetch
from leaseway.settings import settings
from support.http_servers import run_scripted_server


@pytest.fixture
def fetch_raw(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FetchedResponse]:
    """Fetch from a server that sends exactly these bytes and hangs up."""

    def run(answer: bytes, *, limit: int = 100_000, seconds: float = 20) -> FetchedResponse:
        def send(connection: socket.socket, _: object) -> None:
            connection.sendall(answer)

        with run_scripted_server(send) as (pair, _):
            monkeypatch.setenv("HTTP_ALLOWED_HOSTS", pair)
            settings.cache_clear()
            end = time.monotonic() + seconds
            return fetch(f"http://{pair}/", limit=limit, remaining=lambda: end - time.monotonic())

    return run
