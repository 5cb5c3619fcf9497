"""A small web server on 127.0.0.1 for the demo's HTTP_GET job: it runs inside the command and ends with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from leaseway_local.engine.processes import port_owner
from leaseway_local.errors import LocalCloudError

PAGE = b"Hello from the demo\n"


class _PageHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: the demo prints what it does."""


@contextmanager
def serving(host: str) -> Iterator[str]:
    """Serve one page at `host:port` while the block runs; yields the page's address.

    Raises:
        LocalCloudError: the port is taken.
    """
    name, _, port = host.rpartition(":")
    try:
        server = ThreadingHTTPServer((name, int(port)), _PageHandler)
    except OSError as problem:
        raise LocalCloudError(
            f"the demo's port {port} is taken by {port_owner(int(port))}.",
            "Stop that program; or `make down` and start with another LEASEWAY_PORT: the demo uses the next one.",
        ) from problem
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}/hello"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
