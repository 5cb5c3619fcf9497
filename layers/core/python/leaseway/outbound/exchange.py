"""One HTTP request and its answer over a socket that is already open.

h11 writes and reads the messages: it follows no redirect, opens no connection and refuses what it cannot read exactly,
such as a header line without a colon or a body that ends before its length.
"""

import socket
from collections.abc import Iterator

import h11

from leaseway.outbound.urls import RequestTarget

HEADER_BYTES = 32_768
TOO_LARGE = 431
"""The hint with which h11 marks a head that is too long."""
_READ = 65_536
_HEADERS = {"User-Agent": "leaseway", "Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Connection": "close"}


class Exchange:
    """A GET of one target: send it, read the head of the answer, then its body."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES)

    def send_get(self, target: RequestTarget) -> None:
        """Send the whole request.

        Raises:
            OSError: the connection does not take it.
        """
        headers = list({"Host": target.authority, **_HEADERS}.items())
        request = h11.Request(method="GET", target=target.path, headers=headers)
        self._socket.sendall(self._send(request) + self._send(h11.EndOfMessage()))

    def read_head(self) -> h11.Response:
        """Read up to the answer's head. Interim answers (1xx, such as 103 Early Hints) before it are skipped.

        Raises:
            OSError: the connection broke, or the wait is over.
            h11.RemoteProtocolError: this is no HTTP, or its headers are too long.
        """
        while True:
            event = self._read_event()
            if isinstance(event, h11.Response):
                _check_length(event)
                return event

    def read_body(self) -> Iterator[bytes]:
        """Read the body in pieces, without its transfer coding. Ends only at the end that the head declares.

        Raises:
            OSError: the connection broke, or the wait is over.
            h11.RemoteProtocolError: the body is cut off, or its chunks are malformed.
        """
        while isinstance(event := self._read_event(), h11.Data):
            yield bytes(event.data)

    def _send(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    def _read_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            received = self._socket.recv(_READ)
            if not received and self._http.their_state is h11.SEND_RESPONSE:
                raise ConnectionError("the server closed the connection before the end of the answer's head")
            self._http.receive_data(received)
        return event


def _check_length(head: h11.Response) -> None:
    # h11's own bound holds only while a head is incomplete: one that arrives whole passes it.
    if sum(len(name) + len(value) for name, value in head.headers) > HEADER_BYTES:
        raise h11.RemoteProtocolError("the headers are too long", error_status_hint=TOO_LARGE)
