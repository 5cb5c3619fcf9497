"""The nodes that a monitor starts: it reads their reports and makes sure that none outlives it.

A node reports on its standard output, one JSON object per line, each terminated by CRLF. Its standard input is a pipe
from the monitor: when that closes, even because the monitor was killed, the node ends too.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_RATE_SECONDS = 5.0
_ENDING_SECONDS = 8.0
"""How long the nodes have to end by themselves."""


class Mode(StrEnum):
    """What a node is doing."""

    STARTING = "starting"
    HANDLER = "handler"
    GENERATOR = "generator"
    KILLED = "killed"
    ENDED = "ended"


class Child:
    """One node: its process, and its latest report."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.number: int | None = None
        self.generated = 0
        self.processed = 0
        self.errors = 0
        self._mode = Mode.STARTING
        self._done: deque[float] = deque()
        with log.open("wb") as written:
            # In a new session: only the monitor receives Ctrl-C, and the node's own children end with it.
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written,
                start_new_session=True,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def mode(self) -> Mode:
        """What the node is doing according to its latest report; nothing if its process has ended."""
        status = self.process.poll()
        if status is None:
            return self._mode
        return Mode.KILLED if status == -signal.SIGKILL else Mode.ENDED

    @property
    def rate(self) -> float:
        """Messages a second, generated or processed, over the last seconds."""
        now = time.monotonic()
        while self._done and self._done[0] < now - _RATE_SECONDS:
            self._done.popleft()
        return len(self._done) / _RATE_SECONDS

    def kill(self) -> None:
        """Kill the node and everything it started, unless it has ended."""
        if self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        for line in self.process.stdout:
            if line.endswith(b"\r\n"):
                with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    self._hear(json.loads(line))

    def _hear(self, message: dict[str, Any]) -> None:
        match message["msg"]:
            case "createdTaskId":
                self.number, self._mode = int(message["taskId"]), Mode.HANDLER
            case "switchedToGeneratorMode":
                self._mode = Mode.GENERATOR
            case "switchedToHandlerMode":
                self._mode = Mode.HANDLER
            case "generated":
                self.generated = int(message["total"])
                self._done.append(time.monotonic())
            case "processed":
                self.processed, self.errors = int(message["total"]), int(message["errors"])
                self._done.append(time.monotonic())


class Children:
    """All nodes of a monitor. Leaving the block ends every one of them."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], logs: Path) -> None:
        self.all: list[Child] = []
        self._commands = commands
        self._environment = environment
        self._logs = logs

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for position, command in enumerate(self._commands, 1):
                self.all.append(Child(command, self._environment, self._logs / f"node-{position}.log"))
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def kill_generator(self) -> Child | None:
        """Kill the generator. Returns the node that was it, or None."""
        for child in self.all:
            if child.mode is Mode.GENERATOR:
                child.kill()
                return child
        return None

    def end(self) -> None:
        """Ask every node to return its jobs and end; kill those that do not end in time, with all they started."""
        for child in self.all:
            if child.process.poll() is None:
                child.process.terminate()
        ends = time.monotonic() + _ENDING_SECONDS
        for child in self.all:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, ends - time.monotonic()))
        for child in self.all:
            child.kill()
            child.process.wait()
