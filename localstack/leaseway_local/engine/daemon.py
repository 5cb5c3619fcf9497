"""A detached process with a record on disk: one command starts it, later ones find it again and stop it."""

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
from msgspec import Meta

from leaseway_local.engine import processes
from leaseway_local.errors import LocalCloudError


@dataclass(frozen=True)
class DaemonRecord:
    """The process that was started last. `mark` distinguishes it from a later process with the same id."""

    pid: Annotated[int, Meta(gt=0)]
    mark: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    started_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def host(self) -> str:
        """`host:port`, the form that LOCALSTACK_HOST takes."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The root of what it serves."""
        return f"http://{self.host}"

    def is_alive(self) -> bool:
        """Whether that process still runs."""
        return processes.is_alive(self.pid, self.mark)


@dataclass(frozen=True)
class Daemon:
    """A Python module that runs as a detached process and serves HTTP on 127.0.0.1."""

    name: str
    """For error messages, such as `the local engine`."""
    module: str
    record_path: Path
    log_path: Path
    lock_path: Path
    health_path: str
    """Answers 200 when the process is ready."""
    advice: str
    """What to do if it does not start."""
    ready_seconds: float
    stop_seconds: float

    def record(self) -> DaemonRecord | None:
        """The process that was started last, alive or not; None after a clean stop."""
        try:
            return msgspec.json.decode(self.record_path.read_bytes(), type=DaemonRecord)
        except (FileNotFoundError, ValueError, RecursionError):
            return None  # a damaged record counts as none

    def running(self) -> DaemonRecord | None:
        """The process that runs now, if any."""
        record = self.record()
        return record if record and record.is_alive() else None

    def answers(self, record: DaemonRecord) -> bool:
        """Whether the process answers HTTP within two seconds."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{record.url}{self.health_path}", timeout=2, trust_env=False).status_code == 200
        return False

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make concurrent commands take turns: none starts a second process or stops a half-started one."""
        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock_path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def launch(self, port: int, arguments: Sequence[str], environment: Mapping[str, str]) -> DaemonRecord:
        """Start the process and wait until it answers. Call it under the lock, when none is running.

        Raises:
            LocalCloudError: it ended or did not answer in time; nothing is left running.
        """
        process = self._spawn(arguments, environment)
        try:
            record = DaemonRecord(process.pid, processes.start_mark(process.pid) or "", port, time.time())
            self.record_path.write_text(json.dumps(asdict(record)))
            processes.wait_until(lambda: process.poll() is not None or self.answers(record), self.ready_seconds)
            if process.poll() is not None or not self.answers(record):
                raise LocalCloudError(
                    f"{self.name} did not start; its log ({self.log_path}) ends with:\n{self.log_tail()}", self.advice
                )
        except BaseException:
            process.kill()
            process.wait()
            self.record_path.unlink(missing_ok=True)
            raise
        return record

    def end(self, *, children: Sequence[int] = ()) -> bool:
        """End the process and its `children`, and forget it. Returns whether it ran. Call it under the lock."""
        record = self.running()
        if record:
            processes.end([record.pid, *children], grace=self.stop_seconds)
        self.record_path.unlink(missing_ok=True)
        return record is not None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the process printed."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _spawn(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self.module, *arguments],
                cwd=self.record_path.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal must not reach it
            )
