"""Real node processes for the integration tests, and their logs."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from leaseway_local.commands import nodes
from support.waiting import PATIENCE_SECONDS, wait_until

WITHOUT_WORKERS: dict[str, Any] = {
    "LeaseSeconds": 3,
    "FirstLookSeconds": 2,
    "WorkerEnabled": False,
    "SweeperEnabled": False,
    "LogFormat": "json",
}
"""Parameters of a stack on which only nodes claim jobs, and on which the sweeper runs only if a test invokes it."""


class NodeProcess:
    """One `leaseway node` on a stack, its logs in a file."""

    def __init__(
        self,
        stack: Any,
        log: Path,
        *,
        typed: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        """Start it with `variables` in its environment.

        With `typed`, run the command as a person types it, which finds the deployment first.
        """
        options_with_values = {
            f"--{name.replace('_', '-')}": value for name, value in options.items() if value is not True
        }
        flags = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is True]
        environment = nodes.with_code(nodes.environment_of(stack.clients, stack.name) | variables)
        command = nodes.command(options_with_values, flags)
        if typed:
            environment = nodes.with_code(os.environ) | {"LOCALSTACK_HOST": str(stack.clients.host)}
            aimed = ["node", "--target", "localstack", "--stack", stack.name]
            command = [command[0], "-m", "leaseway_local.cli", *aimed, *command[3:]]
        self.log = log
        with log.open("ab") as written:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stderr=written,
                start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a machine that vanishes; what it started to take over goes with it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def find_actions(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("action") in names]

    def wait_until_started(self, seconds: float = PATIENCE_SECONDS) -> "NodeProcess":
        """Wait until it has started, and return it."""
        wait_until(lambda: self.find_actions("start"), seconds=seconds, what="a started node")
        return self


@contextmanager
def run_nodes(stack: Any, folder: Path) -> Iterator[Any]:
    """Yield `start(name, **options)`, which starts a node. None outlives the block."""
    started: list[NodeProcess] = []

    def start(name: str, **options: Any) -> NodeProcess:
        process = NodeProcess(stack, folder / f"{name}-{len(started)}.log", name=name, **options)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for node in started:
            if node.alive:
                node.kill()
