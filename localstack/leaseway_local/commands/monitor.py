"""The command `leaseway monitor`."""

import os
import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.live import Live

from leaseway_local.commands import nodes
from leaseway_local.commands.options import TargetOption
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_clients
from leaseway_local.engine.paths import DEFAULT_STACK, default_home
from leaseway_local.node_monitor.children import Children
from leaseway_local.node_monitor.screen import screen
from leaseway_local.terminal.console import data
from leaseway_local.terminal.keys import keys

_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 3


def monitor(
    count: Annotated[int, typer.Option("--nodes", min=1, max=100, help="Number of nodes to start.")] = 5,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Messages that each node handles at a time.")] = 2,
    interval_ms: nodes.IntervalOption = 500,
    refresh_ms: nodes.RefreshOption = 2000,
    failure_percent: nodes.FailureOption = None,
    target: TargetOption = Target.LOCAL,
    stack: nodes.StackOption = DEFAULT_STACK,
) -> None:
    """Start nodes that generate and handle messages, and show what they do. The nodes end with the command."""
    environment = nodes.with_code(nodes.environment_of(open_clients(target), stack))
    options = {
        "--concurrency": concurrency,
        "--queues": "MESSAGE",
        "--drain-seconds": _DRAIN_SECONDS,
        "--poll-seconds": 1,  # a node that is asked to end waits for its current request
        "--interval-ms": interval_ms,
        "--refresh-ms": refresh_ms,
        "--failure-percent": failure_percent,
    }
    commands = [
        nodes.command(options | {"--name": f"monitor-{os.getpid()}-{position}"}, ["--generate", "--report"])
        for position in range(1, count + 1)
    ]
    is_interrupted = _watch_signals()
    with Children(commands, environment, default_home().node_logs) as children:
        _watch(children, is_interrupted)


def _watch_signals() -> Callable[[], bool]:
    """Handle SIGINT, SIGTERM and SIGHUP by recording them only: the nodes are ended once, when the loop sees it.

    Returns a function: whether a signal has arrived.
    """
    signals: list[int] = []

    def record(number: int, _: Any) -> None:
        signals.append(number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, record)
    return lambda: bool(signals)


def _watch(children: Children, is_interrupted: Callable[[], bool]) -> None:
    note = f"logs are in {default_home().node_logs}"
    with keys() as pressed, Live(console=data, auto_refresh=False, transient=False) as live:
        while not is_interrupted():
            live.update(screen(children.all, note), refresh=True)
            match pressed(_LOOK_SECONDS).lower():
                case "q":
                    return
                case "k":
                    killed = children.kill_generator()
                    note = "there is no generator at the moment" if killed is None else f"killed node {killed.number}"
