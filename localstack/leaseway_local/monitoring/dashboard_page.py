"""Serve /dashboard on 127.0.0.1: the stack's CloudWatch dashboard, drawn from the local engine's data."""

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring import alarm_states, widgets

LONGEST_MINUTES = 24 * 60

_HERE = Path(__file__).with_name("dashboard")
_UPLOT_PACKAGE = "uplot"
_FILES = {
    "/dashboard": (_HERE / "index.html", "text/html; charset=utf-8"),
    "/dashboard/page.js": (_HERE / "page.js", "text/javascript; charset=utf-8"),
    "/dashboard/page.css": (_HERE / "page.css", "text/css; charset=utf-8"),
}
_UPLOT_FILES = {
    "/dashboard/uplot.js": ("uPlot.iife.js", "text/javascript; charset=utf-8"),
    "/dashboard/uplot.css": ("uPlot.min.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    # No inline script or style, no other origin, no frame.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def create_server(home: Home, stack: str, port: int) -> ThreadingHTTPServer:
    """Create the server, bound but not yet serving.

    Raises:
        OSError: the port is taken.
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, lambda query: _read_data(home, stack, query)))
    server.daemon_threads = True
    return server


def find_uplot_file(name: str) -> Path:
    """Find a file of uPlot in the package that contains it.

    Raises:
        LocalCloudError: the package is not installed.
    """
    # Not imported: the package's Python code is for notebooks.
    package = importlib.util.find_spec(_UPLOT_PACKAGE)
    for folder in (package.submodule_search_locations or []) if package else []:
        if (file := Path(folder) / "static" / name).exists():
            return file
    raise LocalCloudError("uPlot, which draws the dashboard, is not installed.", "`make setup` installs it.")


def _read_data(home: Home, stack: str, query: dict[str, list[str]]) -> dict[str, Any]:
    engine = Engine(home).running()
    if engine is None:
        raise LocalCloudError("the local cloud is not running.", "`leaseway up` starts it.")
    minutes = min(LONGEST_MINUTES, max(5, int(query.get("minutes", ["60"])[0])))
    clients = Clients(Target.LOCAL, engine.host)
    cloudwatch = clients.get("cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName=stack)["DashboardBody"])
    deployed = outputs.fetch(clients, stack)
    alarms = alarm_states.read_states(cloudwatch, stack)
    drawn = widgets.read_widgets(body, cloudwatch, minutes)
    return {"stack": stack, "api": deployed.api_url, "alarms": alarms, **drawn}


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, data: Callable[[dict[str, list[str]]], dict[str, Any]], *args: Any) -> None:
        self._data = data
        super().__init__(*args)

    def do_GET(self) -> None:
        # Refuse DNS rebinding: a foreign page whose host name resolves to this address.
        if self.headers.get("host", "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            self._send(403, "text/plain", b"this server answers on 127.0.0.1 only")
            return
        try:
            self._send(*self._respond())
        except (LocalCloudError, ClientError, BotoCoreError, ValueError) as problem:
            self._send(503, "application/json", json.dumps({"problem": str(problem)}).encode())

    def _respond(self) -> tuple[int, str, bytes]:
        url = urlsplit(self.path)
        if url.path in _FILES:
            file, kind = _FILES[url.path]
            return 200, kind, file.read_bytes()
        if url.path in _UPLOT_FILES:
            name, kind = _UPLOT_FILES[url.path]
            return 200, kind, find_uplot_file(name).read_bytes()
        if url.path == "/favicon.ico":  # browsers request it unprompted
            return 204, "image/x-icon", b""
        if url.path == "/dashboard/data":
            return 200, "application/json", json.dumps(self._data(parse_qs(url.query))).encode()
        return 404, "text/plain", b"there is only /dashboard"

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "content-type": kind, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: the page sends a request every few seconds."""
