"""The monitor: a process beside the local engine that forwards metrics and serves the dashboard.

`leaseway up` starts it, `leaseway down` stops it. It looks the engine up in the home's record at each step, so the
engine may be stopped, killed and started on another port meanwhile.
"""

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.engine import processes
from leaseway_local.engine.engine import Engine, EngineRecord, engine_environment
from leaseway_local.engine.places import DEFAULT_STACK, Home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.forwarder import Forwarder

STEP_SECONDS = 1.0

_READY_SECONDS = 20.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class MonitorRecord:
    """The process that was started last. `mark` tells it from a later process with the same id."""

    pid: int
    mark: str
    port: int

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.port}/dashboard"

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return processes.is_alive(self.pid, self.mark)


class Monitor:
    """The monitor of one home, and of one stack of its engine."""

    def __init__(self, home: Home, stack: str = DEFAULT_STACK) -> None:
        self.home = home
        self.stack = stack

    def running(self) -> MonitorRecord | None:
        """The monitor that runs now."""
        try:
            record = MonitorRecord(**json.loads(self.home.monitor.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return record if record.alive() else None

    def answers(self, record: MonitorRecord) -> bool:
        """Whether its page answers now."""
        try:
            return httpx.get(record.url, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def start(self, port: int) -> MonitorRecord:
        """Start it, or return the one that runs. Another port is taken where this one is not free.

        Raises:
            LocalCloudError: it did not come up; nothing is left running.
        """
        with self._alone():
            running = self.running()
            if running and self.answers(running):
                return running
            self._end()
            return self._started(port)

    def stop(self) -> bool:
        """Stop it; returns whether it ran."""
        if not self.home.path.exists():
            return False
        with self._alone():
            return self._end()

    def _started(self, port: int) -> MonitorRecord:
        chosen = port if processes.port_is_free(port) else processes.free_port()
        process = self._spawn(chosen)
        record = MonitorRecord(process.pid, processes.start_mark(process.pid) or "", chosen)
        self.home.monitor.write_text(json.dumps(asdict(record)))
        processes.wait_until(lambda: process.poll() is not None or self.answers(record), _READY_SECONDS)
        if process.poll() is not None or not self.answers(record):
            self._end()
            raise LocalCloudError(
                f"the monitor did not start; its log is {self.home.monitor_log}.", "`leaseway up` tries again."
            )
        return record

    def _end(self) -> bool:
        running = self.running()
        if running:
            processes.end([running.pid], grace=_STOP_SECONDS)
        self.home.monitor.unlink(missing_ok=True)
        return running is not None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once take turns: there is one monitor."""
        with self.home.monitor.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        ours = {"PYTHONPATH": str(Path(__file__).parents[2])}
        command = [
            sys.executable,
            "-m",
            "leaseway_local.monitoring.monitor",
            str(self.home.path),
            self.stack,
            str(port),
        ]
        with self.home.monitor_log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.home.path,
                env=engine_environment(self.home, port) | ours | {"TMPDIR": str(self.home.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is for the command, not for it
            )


class Follower:
    """Forwards, step by step, whatever the engine does meanwhile."""

    def __init__(self, home: Home, stack: str) -> None:
        self._home = home
        self._stack = stack
        self._engine: EngineRecord | None = None
        self._forwarder: Forwarder | None = None

    def step(self) -> None:
        """One step, where there is an engine with a stack; what fails is tried again."""
        found = Engine(self._home).running()
        if found != self._engine:
            self._engine, self._forwarder = found, None
        if found is None:
            return
        try:
            self._forwarder = self._forwarder or self._forwarder_of(found)
            self._forwarder.step()
        except (BotoCoreError, ClientError, LocalCloudError) as problem:
            _say(f"waiting: {problem}")

    def _forwarder_of(self, engine: EngineRecord) -> Forwarder:
        clients = Clients(Target.LOCAL, engine.host)
        return Forwarder(clients, outputs.fetch(clients, self._stack), self._home.journal)


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Forward and serve until told to stop, or until the home is gone."""
    from leaseway_local.monitoring.dashboard_page import serve

    arguments = argparse.ArgumentParser(prog="leaseway-monitor")
    for name, kind in (("home", Path), ("stack", str), ("port", int)):
        arguments.add_argument(name, type=kind)
    given: Any = arguments.parse_args()
    home = Home(given.home)
    server = serve(home, given.stack, given.port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    follower = Follower(home, given.stack)
    while home.path.exists():
        follower.step()
        time.sleep(STEP_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
