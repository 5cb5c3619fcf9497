"""The embedded engine: MiniStack as a detached process that `leaseway` starts and stops.

It listens on 127.0.0.1 only and gets an environment of its own, so none of the user's AWS settings reach a function.
Its data survives a clean stop; after a kill it is as of the last clean stop.
"""

import os
import re
import shutil

from leaseway_local.engine import processes
from leaseway_local.engine.daemon import Daemon, DaemonRecord
from leaseway_local.engine.paths import Home
from leaseway_local.errors import LocalCloudError

_PASSED_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_STATE_WITH_QUEUE_URLS = ("cloudformation", "lambda", "sqs")
_QUEUE_HOST = re.compile(rb"http://localhost:\d+/(?=\d{12}/)")
_READY_SECONDS = 30.0
_STOP_SECONDS = 30.0  # saving the state of a well-used cloud takes a while


class Engine:
    """The embedded engine of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.daemon = Daemon(
            name="the local engine",
            module="leaseway_local.engine.ministack_server",
            record_path=home.record,
            log_path=home.log,
            lock_path=home.lock,
            health_path="/_ministack/ready",
            advice="If the log shows no cause, run `leaseway down --purge` and start again.",
            ready_seconds=_READY_SECONDS,
            stop_seconds=_STOP_SECONDS,
        )

    def record(self) -> DaemonRecord | None:
        """The engine that was started last, alive or not; None after a clean stop."""
        return self.daemon.record()

    def running(self) -> DaemonRecord | None:
        """The engine that runs now, if any."""
        return self.daemon.running()

    def answers(self, record: DaemonRecord) -> bool:
        """Whether the engine answers HTTP within two seconds."""
        return self.daemon.answers(record)

    def start(self, port: int, *, variables: dict[str, str] | None = None) -> DaemonRecord:
        """Start the engine, or return the one that runs. `variables` are added to its environment.

        Raises:
            LocalCloudError: the port is taken, or the engine did not start; nothing is left running.
        """
        with self.daemon.lock():
            if running := self.running():
                return running
            self._clear_leftovers()
            if not processes.port_is_free(port):
                raise LocalCloudError(
                    f"port {port} is taken by {processes.port_owner(port)}.",
                    "Set LEASEWAY_PORT to another port, or stop that program.",
                )
            self._readdress_queues(port)
            for folder in (self.home.path, self.home.state, self.home.objects, self.home.scratch):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            environment = build_environment(self.home, port) | (variables or {})
            try:
                return self.daemon.launch(port, ["--port", str(port)], environment)
            except BaseException:
                self._clear_leftovers()
                raise

    def stop(self) -> bool:
        """Stop the engine and every function it runs; its data is kept. Returns whether it ran."""
        with self.daemon.lock():
            # End the functions at the same time: the engine would wait for the answers of busy ones.
            ran = self.daemon.end(children=self.functions())
            self._clear_leftovers()
            return ran

    def purge(self) -> None:
        """Remove the data of a stopped engine."""
        for folder in (self.home.state, self.home.objects, self.home.scratch):
            shutil.rmtree(folder, ignore_errors=True)
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

    def _clear_leftovers(self) -> None:
        """End the functions that outlived a killed engine, and remove its scratch files and record."""
        processes.end(self.functions(), grace=2)
        shutil.rmtree(self.home.scratch, ignore_errors=True)
        self.home.record.unlink(missing_ok=True)

    def _readdress_queues(self, port: int) -> None:
        """Rewrite saved queue addresses to `port`: the engine finds a queue by its address, port included."""
        for file in (self.home.state / f"{service}.json" for service in _STATE_WITH_QUEUE_URLS):
            if file.exists():
                before = file.read_bytes()
                after = _QUEUE_HOST.sub(f"http://localhost:{port}/".encode(), before)
                if after != before:
                    file.write_bytes(after)


def build_environment(home: Home, port: int) -> dict[str, str]:
    """Build the complete environment of the engine, and so of every function."""
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    return passed | {
        "HOME": str(home.path),  # not the user's ~/.aws
        "TMPDIR": str(home.scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",  # never look for a Docker daemon
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
