"""Real servers on 127.0.0.1 that record their requests, for tests of outbound HTTP."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"hello"
    headers: dict[str, str] = field(default_factory=dict)


class CountingServer:
    """Answers by `replies` for a path with its query, else 200 "hello". `hits` are the requested paths."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pair = f"127.0.0.1:{port}"
        self.replies: dict[str, Reply] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def hits(self) -> list[str]:
        return [path for path, _ in self.requests]

    def url(self, path: str = "/") -> str:
        return f"http://{self.pair}{path}"

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        self.replies[path] = Reply(status, b"", {"Location": location})
        return self.url(path)


@contextmanager
def run_counting_server(
    wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain,
) -> Iterator[CountingServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            counting.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            reply = counting.replies.get(self.path, Reply())
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if "Transfer-Encoding" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            with suppress(OSError):  # a reader with a limit hangs up
                self.wfile.write(reply.body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = wrap(server.socket)
    counting = CountingServer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield counting
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def run_scripted_server(
    script: Callable[[socket.socket, threading.Event], None],
    wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain,
) -> Iterator[tuple[str, list[object]]]:
    """Run `script` on each connection, for answers that no HTTP server would give. Yields `host:port` and the peers."""
    peers: list[object] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError), wrap(connection) as wrapped:
            wrapped.recv(65_536)
            script(wrapped, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, peer = listener.accept()
                peers.append(peer)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", peers
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
