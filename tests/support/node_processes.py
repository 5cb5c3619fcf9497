"""Real node processes for the integration tests, and where they tell of themselves."""

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
from support.waiting import until

WITHOUT_WORKERS: dict[str, Any] = {
    "LeaseSeconds": 3,
    "FirstLookSeconds": 2,
    "WorkerEnabled": False,
    "SweeperEnabled": False,
    "LogFormat": "json",
}
"""Parameters of a stack on which nothing takes a job but nodes, and the sweeper only when a test wants it."""


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

        `typed` goes by the command as a person types it, which finds the deployment first.
        """
        given = {f"--{name.replace('_', '-')}": value for name, value in options.items() if value is not True}
        flags = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is True]
        environment = nodes.with_code(nodes.environment_of(stack.clients, stack.name) | variables)
        command = nodes.command(given, flags)
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

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def actions(self, *wanted: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("action") in wanted]

    def started(self, seconds: float = 30) -> "NodeProcess":
        """This node, once it works."""
        until(lambda: self.actions("start"), seconds=seconds, what="a started node")
        return self


@contextmanager
def nodes_on(stack: Any, folder: Path) -> Iterator[Any]:
    """Starts nodes: `start(name, **options)`. None outlives the block."""
    started: list[NodeProcess] = []

    def start(name: str, **options: Any) -> NodeProcess:
        made = NodeProcess(stack, folder / f"{name}-{len(started)}.log", name=name, **options)
        started.append(made)
        return made

    try:
        yield start
    finally:
        for node in started:
            if node.alive:
                node.kill()
