"""Lambda's own bootstrap around a packaged function, and the small Runtime API that it polls for events.

    with run_environment(lay_out(folder), "worker.app.handler", variables) as bootstrap:
        bootstrap.wait_until_ready()
        answer = bootstrap.invoke(event)

The process sees what Lambda would show it: the function's code, both layers merged into one folder as under /opt, and
awslambdaric with what it needs. There is no site-packages folder and no variable but those passed in.
The protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

from leaseway_local.deployment import layers, packaging

BOOTSTRAP = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""Lambda's bootstrap and what it requires; on AWS they lie under /var/runtime."""

PATIENCE = 60
"""Seconds after which a missing answer fails the test."""


class FunctionError(AssertionError):
    """The function raised, or did not even start; carries its error document."""


@dataclass(frozen=True)
class Folders:
    """What Lambda mounts: /var/task, /opt and /var/runtime."""

    task: Path
    opt: Path
    runtime: Path


def lay_out(root: Path) -> Folders:
    """Unpack what is deployed, layers in their order into one folder, and put the bootstrap beside it."""
    folders = Folders(root / "task", root / "opt", root / "runtime")
    for archive, folder in (
        (packaging.build_functions(), folders.task),
        (packaging.build_core_layer(), folders.opt),
        (packaging.build_runtime_layer(), folders.opt),
    ):
        with zipfile.ZipFile(archive.path) as packed:
            packed.extractall(folder)
    for name in BOOTSTRAP:
        for file in metadata.files(name) or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                copy = folders.runtime / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), copy)
    layers.compile_tree(folders.runtime)
    return folders


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.errors: queue.Queue[Any] = queue.Queue()
        self.is_ready = threading.Event()
        """Set when the function has been imported and requests its first event."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        # An environment is ended while it waits for an event: it reads no answer.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RuntimeApi

    def do_GET(self) -> None:
        self.server.is_ready.set()
        event = self.server.events.get()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", f"request-{time.monotonic_ns()}")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 900_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
        self.send_header("Content-Type", "application/json")  # its client, in C, crashes without
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reported = self.server.errors if self.path.endswith("/error") else self.server.answers
        reported.put(json.loads(body or b"null"))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Bootstrap:
    """A bootstrap that runs."""

    def __init__(self, api: _RuntimeApi, process: "subprocess.Popen[bytes]") -> None:
        self._api = api
        self._process = process

    def wait_until_ready(self) -> None:
        """Return when the handler's module has been imported."""
        self._wait_for(self._api.is_ready.is_set)

    def invoke(self, event: Any) -> Any:
        """Send an event and return what the function answers."""
        self._api.events.put(json.dumps(event).encode())
        self._wait_for(lambda: not self._api.answers.empty())
        return self._api.answers.get()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if not self._api.errors.empty():
                raise FunctionError(self._api.errors.get())
            if self._process.poll() is not None:
                raise FunctionError(f"the bootstrap ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                raise FunctionError("no answer")
            time.sleep(0.005)

    def cpu_ms(self) -> float:
        """CPU that the process has used, all of its threads together, as the kernel counts it in nanoseconds."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


@contextmanager
def run_environment(folders: Folders, handler: str, variables: Mapping[str, str]) -> Iterator[Bootstrap]:
    """One execution environment of a function, ended with the block."""
    api = _RuntimeApi()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    process = subprocess.Popen(
        # The interpreter that the virtual environment was made from, without site-packages (-S).
        [os.path.realpath(sys.executable), "-S", "-m", "awslambdaric", handler],
        env={
            **variables,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef",
            "LAMBDA_TASK_ROOT": str(folders.task),
            "PYTHONPATH": f"{folders.task}:{folders.opt}/python:{folders.runtime}",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
        },
        cwd=folders.task,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield Bootstrap(api, process)
    finally:
        process.kill()
        process.wait()
        api.shutdown()
        api.server_close()
