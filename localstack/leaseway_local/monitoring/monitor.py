"""The monitor: a process beside the local engine that forwards metrics and serves the dashboard.

`leaseway up` starts it, `leaseway down` stops it. It reads the engine's record before each step, so it follows an
engine that is stopped, killed or restarted on another port.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.engine import processes
from leaseway_local.engine.daemon import Daemon, DaemonRecord
from leaseway_local.engine.ministack import Engine, build_environment
from leaseway_local.engine.paths import DEFAULT_STACK, Home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.forwarder import Forwarder

STEP_SECONDS = 1.0

_READY_SECONDS = 20.0
_STOP_SECONDS = 5.0
_DASHBOARD = "/dashboard"


class Monitor:
    """The monitor of one home, for one stack of its engine."""

    def __init__(self, home: Home, stack: str = DEFAULT_STACK) -> None:
        self.home = home
        self.stack = stack
        self.daemon = Daemon(
            name="the monitor",
            module="leaseway_local.monitoring.monitor",
            record_path=home.monitor,
            log_path=home.monitor_log,
            lock_path=home.monitor.with_suffix(".lock"),
            health_path=_DASHBOARD,
            advice="`leaseway up` tries again.",
            ready_seconds=_READY_SECONDS,
            stop_seconds=_STOP_SECONDS,
        )

    def running(self) -> DaemonRecord | None:
        """The monitor that runs now, if any."""
        return self.daemon.running()

    def answers(self, record: DaemonRecord) -> bool:
        """Whether the dashboard answers within two seconds."""
        return self.daemon.answers(record)

    def start(self, port: int) -> DaemonRecord:
        """Start the monitor, or return the one that runs. It takes another port if this one is not free.

        Raises:
            LocalCloudError: it did not start; nothing is left running.
        """
        with self.daemon.lock():
            running = self.running()
            if running and self.answers(running):
                return running
            self.daemon.end()
            free_port = port if processes.port_is_free(port) else processes.free_port()
            environment = build_environment(self.home, free_port) | {
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TMPDIR": str(self.home.path),
            }
            return self.daemon.launch(free_port, [str(self.home.path), self.stack, str(free_port)], environment)

    def stop(self) -> bool:
        """Stop the monitor. Returns whether it ran."""
        if not self.home.path.exists():
            return False
        with self.daemon.lock():
            return self.daemon.end()


def dashboard_url(record: DaemonRecord) -> str:
    """The dashboard's address."""
    return f"{record.url}{_DASHBOARD}"


class Follower:
    """Forwards the metrics of whichever engine runs, one step at a time."""

    def __init__(self, home: Home, stack: str) -> None:
        self._home = home
        self._stack = stack
        self._engine: DaemonRecord | None = None
        self._forwarder: Forwarder | None = None

    def step(self) -> None:
        """Forward once if an engine runs and the stack is deployed; a failure is retried by the next step."""
        engine = Engine(self._home).running()
        if engine != self._engine:
            self._engine, self._forwarder = engine, None
        if engine is None:
            return
        try:
            self._forwarder = self._forwarder or self._create_forwarder(engine)
            self._forwarder.step()
        except (BotoCoreError, ClientError, LocalCloudError, OSError) as problem:  # such as a full disk
            _log(f"waiting: {problem}")

    def _create_forwarder(self, engine: DaemonRecord) -> Forwarder:
        clients = Clients(Target.LOCAL, engine.host)
        return Forwarder(clients, outputs.fetch(clients, self._stack), self._home.journal)


def _log(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Forward and serve until the process is ended or its home is removed."""
    from leaseway_local.monitoring.dashboard_page import create_server

    parser = argparse.ArgumentParser(prog="leaseway-monitor")
    parser.add_argument("home", type=Path)
    parser.add_argument("stack")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    home = Home(arguments.home)
    server = create_server(home, arguments.stack, arguments.port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    follower = Follower(home, arguments.stack)
    while home.path.exists():
        follower.step()
        time.sleep(STEP_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
