"""A machine on which every command can run in this process: it starts nothing, waits for nothing and keeps nothing."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from leaseway_local.commands import monitor as monitor_command
from leaseway_local.commands import nodes
from leaseway_local.deployment import packaging, template
from leaseway_local.deployment.packaging import Archive
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.monitoring.monitor import Monitor
from support.command_line import list_commands
from support.stub_deployment import CODE, StubDeployment

COMMANDS = list_commands()
# What each command needs to do its work; the others need nothing.
ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("balance", "show"): ("1",),
    ("balance", "update"): ("1", "5"),
    ("dead-letters", "replay"): ("--all", "--yes"),
    ("deploy",): ("--parameter", "A=b"),
    ("jobs", "cancel"): ("--tag", "x", "--yes"),
    ("jobs", "create"): ("SLEEP", "--wait", "--timeout", "0"),
    ("jobs", "get"): ("1",),
    ("jobs", "list"): ("--all",),
    ("jobs", "retry"): ("--tag", "x", "--yes"),
    ("jobs", "wait"): ("1", "--timeout", "0"),
    ("ledger", "repair"): ("1",),
    ("ledger", "show"): ("1",),
    ("login",): (),
    ("tasks", "create"): ("nightly", "SLEEP", "--every", "5m"),
    ("tasks", "history"): ("0" * 32,),
    ("tasks", "pause"): ("0" * 32,),
    ("tasks", "resume"): ("0" * 32,),
    ("tasks", "run"): ("0" * 32,),
    ("tasks", "watch"): ("--looks", "1"),
    ("top",): ("--looks", "2"),
    ("users", "break-glass"): ("ann",),
    ("users", "create"): ("ann",),
    ("users", "disable"): ("ann",),
    ("users", "enable"): ("ann",),
    ("users", "logout"): ("ann",),
    ("users", "reset"): ("ann",),
    ("users", "role"): ("ann", "Worker"),
    ("users", "show"): ("ann",),
    ("users", "unlock"): ("ann",),
}
MOST_SLEEPS = 20


def sleep_or_interrupt() -> Any:
    """A sleep that takes no time, takes what `time.sleep` takes, and is Ctrl-C when a command sleeps too often."""
    sleeps = 0

    def sleep(seconds: float) -> None:
        nonlocal sleeps
        if not 0 <= seconds < 1e9:
            raise ValueError(f"time.sleep does not take {seconds}")
        sleeps += 1
        if sleeps > MOST_SLEEPS:
            raise KeyboardInterrupt

    return sleep


@cache
def read_template_once() -> dict[str, Any]:
    return READ_TEMPLATE()


READ_TEMPLATE = template.read


def check_execve(path: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuse what the system would refuse, and start nothing."""
    for text in (path, *arguments, *environment, *environment.values()):
        if b"\0" in os.fsencode(text):
            raise ValueError("embedded null byte")
    if any("=" in name for name in environment):
        raise ValueError("illegal environment variable name")


@contextmanager
def quieten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give commands a folder of their own and an engine that they do not manage, and let them start no process."""
    monkeypatch.setenv("LEASEWAY_HOME", str(folder / "home"))
    monkeypatch.setenv("LEASEWAY_ENGINE", "localstack")
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:4566")
    monkeypatch.setenv("LEASEWAY_PASSWORD", "secret")
    monkeypatch.delenv("LEASEWAY_DEBUG", raising=False)
    archive_path = folder / "archive.zip"
    archive_path.write_bytes(CODE)
    archive = Archive("functions", archive_path, "key", built=False)
    with ExitStack() as patches:
        for name in ("build_runtime_layer", "build_core_layer", "build_functions"):
            patches.enter_context(patch.object(packaging, name, lambda **_: archive))
        patches.enter_context(patch.object(template, "read", read_template_once))
        record = DaemonRecord(1, "mark", 4566)
        patches.enter_context(patch.object(Monitor, "start", lambda monitor, port: record))
        patches.enter_context(patch.object(Engine, "start", lambda engine, port: record))
        patches.enter_context(patch.object(nodes.os, "execve", check_execve))
        patches.enter_context(patch.object(monitor_command, "Children", MagicMock()))
        patches.enter_context(patch.object(monitor_command, "_watch", MagicMock()))
        patches.enter_context(patch.object(monitor_command.signal, "signal", MagicMock()))
        patches.enter_context(patch("watchfiles.run_process", MagicMock()))
        patches.enter_context(patch("watchfiles.watch", MagicMock(return_value=[])))
        yield


@contextmanager
def example(deployment: StubDeployment, home: Path) -> Iterator[None]:
    """One example: nothing is left of the one before, and no time passes."""
    shutil.rmtree(home, ignore_errors=True)
    with deployment.install(), patch.object(time, "sleep", sleep_or_interrupt()):
        yield
