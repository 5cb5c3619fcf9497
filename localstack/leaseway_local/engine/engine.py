"""The local engine: MiniStack as a detached process that is started, watched and stopped from here.

It listens on 127.0.0.1 only and gets an environment of its own, so nothing of the user's AWS settings reaches a
function. Its data survives a clean stop; after a kill it is as it was at the last clean stop.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import httpx

from leaseway_local.engine import processes
from leaseway_local.engine.places import Home
from leaseway_local.errors import LocalCloudError

DEFAULT_PORT = 4566

_KEPT_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_STATE_WITH_QUEUE_URLS = ("cloudformation", "lambda", "sqs")
_QUEUE_HOST = re.compile(r"http://localhost:\d+/(?=\d{12}/)")
_READY_SECONDS = 30.0
_STOP_SECONDS = 30.0  # saving the state of a well-used cloud takes a while


@dataclass(frozen=True)
class EngineRecord:
    """The process that was started last. `mark` tells it from a later process with the same id."""

    pid: int
    mark: str
    port: int
    started_at: float
    """Seconds since the epoch."""

    @property
    def host(self) -> str:
        """`host:port`, as LOCALSTACK_HOST wants it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The endpoint of every AWS service of the engine."""
        return f"http://{self.host}"

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return processes.is_alive(self.pid, self.mark)


def wanted_port() -> int:
    """LEASEWAY_PORT, or 4566.

    Raises:
        LocalCloudError: LEASEWAY_PORT is not a port.
    """
    given = os.environ.get("LEASEWAY_PORT", "").strip() or str(DEFAULT_PORT)
    if not given.isdigit() or not 1 <= int(given) <= 65_535:
        raise LocalCloudError(f"LEASEWAY_PORT is {given!r}, which is not a port.", "Set it to a number up to 65535.")
    return int(given)


class Engine:
    """One engine and its home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def record(self) -> EngineRecord | None:
        """What was started last, alive or not; None when it was stopped cleanly or never started."""
        try:
            return EngineRecord(**json.loads(self.home.record.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return None  # a record cut short says nothing: the same as none

    def running(self) -> EngineRecord | None:
        """The engine that runs now."""
        record = self.record()
        return record if record and record.alive() else None

    def answers(self, record: EngineRecord) -> bool:
        """Whether it answers HTTP now, within two seconds."""
        with contextlib.suppress(httpx.HTTPError):
            reply = httpx.get(f"{record.url}/_ministack/ready", timeout=2, trust_env=False)
            return reply.status_code == 200
        return False

    def start(self, port: int, *, variables: dict[str, str] | None = None) -> EngineRecord:
        """Start the engine, or return the one that runs. `variables` are added to its environment.

        Raises:
            LocalCloudError: the port is taken, or the engine did not come up; nothing is left running.
        """
        with self._alone():
            if running := self.running():
                return running
            self._clear_leftovers()
            if not processes.port_is_free(port):
                raise LocalCloudError(
                    f"port {port} is taken by {processes.port_owner(port)}.",
                    "Set LEASEWAY_PORT to another port, or stop that program.",
                )
            self._readdress_queues(port)
            return self._started(self._spawn(port, variables or {}), port)

    def stop(self) -> bool:
        """Stop the engine and every function it runs; its data is kept. Returns whether anything ran."""
        with self._alone():
            record = self.record()
            ran = record is not None and record.alive()
            if record and ran:
                # The functions too, at once: the engine would wait for the answers of those that are at work.
                processes.end([record.pid, *self.functions()], grace=_STOP_SECONDS)
            self._clear_leftovers()
            return ran

    def purge(self) -> None:
        """Remove the data of a stopped engine."""
        for place in (self.home.state, self.home.objects, self.home.scratch):
            shutil.rmtree(place, ignore_errors=True)
        for file in (
            self.home.log,
            self.home.monitor_log,
            self.home.journal,
            *self.home.path.glob("outputs-*.json"),
            *self.home.path.glob("signed-in-local*.json"),
        ):
            file.unlink(missing_ok=True)

    def functions(self) -> list[int]:
        """Process ids of the functions that are warm or running."""
        return processes.running_with(f"{self.home.scratch}/ministack-lambda-")

    def log_tail(self, lines: int = 20) -> str:
        """The end of what the engine printed."""
        with contextlib.suppress(OSError):
            return "\n".join(self.home.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _clear_leftovers(self) -> None:
        """Functions outlive an engine that was killed; they work for nobody."""
        processes.end(self.functions(), grace=2)
        shutil.rmtree(self.home.scratch, ignore_errors=True)
        self.home.record.unlink(missing_ok=True)

    def _readdress_queues(self, port: int) -> None:
        """Let the kept queues be found: the engine knows a queue by its address, which names the port."""
        for file in (self.home.state / f"{service}.json" for service in _STATE_WITH_QUEUE_URLS):
            if file.exists():
                kept = file.read_text()
                moved = _QUEUE_HOST.sub(f"http://localhost:{port}/", kept)
                if moved != kept:
                    file.write_text(moved)

    def _spawn(self, port: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        for place in (self.home.path, self.home.state, self.home.objects, self.home.scratch):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.home.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "leaseway_local.engine.serve", "--port", str(port)],
                cwd=self.home.path,
                env=engine_environment(self.home, port) | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is for the command, not for the engine
            )

    def _started(self, process: subprocess.Popen[bytes], port: int) -> EngineRecord:
        try:
            record = EngineRecord(process.pid, processes.start_mark(process.pid) or "", port, time.time())
            self.home.record.write_text(json.dumps(asdict(record)))
            up = processes.wait_until(lambda: process.poll() is not None or self.answers(record), _READY_SECONDS)
            if not up or process.poll() is not None:
                raise LocalCloudError(
                    f"the local engine did not start; its log ({self.home.log}) ends with:\n{self.log_tail()}",
                    "If the log names no cause, try `leaseway down --purge` and start again.",
                )
        except BaseException:
            process.kill()
            process.wait()
            self._clear_leftovers()
            raise
        return record

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once take turns: neither starts a second engine nor stops a half-started one."""
        self.home.path.mkdir(parents=True, exist_ok=True)
        with self.home.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def engine_environment(home: Home, port: int) -> dict[str, str]:
    """All that the engine, and so every function, sees of the machine's environment."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HOME": str(home.path),  # no ~/.aws of the user
        "TMPDIR": str(home.scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",  # never look for a daemon
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_WARM_TTL_SECONDS": "120",
        "MINISTACK_WORKER_THREADS": "128",
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home.state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home.objects),
        "PYTHONUNBUFFERED": "1",
    }
