"""What the command line prints: data on standard output, progress and errors on standard error."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from leaseway_local.errors import LocalCloudError

_PIPED_WIDTH = 200  # columns, so that a table in a file or a pipe is not cut


def _create_console(*, stderr: bool) -> Console:
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else _PIPED_WIDTH
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False, width=width)


data = _create_console(stderr=False)
"""For the data that a command returns."""

messages = _create_console(stderr=True)
"""For everything else."""


def print_json(value: Any) -> None:
    """Print one JSON document, without colours."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_error(what: str, todo: str = "") -> None:
    """Print what failed and what to do about it."""
    messages.print(f"[bold red]✗[/] {_escape(what)}")
    if todo:
        messages.print(f"  {_escape(todo)}")


def run_main(main: Callable[[], None]) -> None:
    """Run a module's main function; on a LocalCloudError print it and exit 1."""
    try:
        main()
    except LocalCloudError as problem:
        print_error(problem.what, problem.todo)
        sys.exit(1)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


class Steps:
    """Progress of a long command: the current step with a spinner, the finished ones with their duration."""

    def __init__(self) -> None:
        self._status = messages.status("")

    def begin(self, what: str) -> None:
        """Show what is being done; only on a terminal."""
        if messages.is_terminal:
            self._status.update(_escape(what))

    def finish(self, what: str) -> None:
        """Print what has been done."""
        messages.print(f"[green]✓[/] {_escape(what)}")

    def warn(self, what: str) -> None:
        """Print something that the user may want to act on."""
        messages.print(f"[yellow]![/] {_escape(what)}")


@contextmanager
def show_steps() -> Iterator[Steps]:
    """Show a command's progress while the block runs."""
    progress = Steps()
    with progress._status:
        yield progress


class Stopwatch:
    """Seconds since its creation, formatted as `1.4 s`."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __str__(self) -> str:
        return f"{time.monotonic() - self._since:.1f} s"
