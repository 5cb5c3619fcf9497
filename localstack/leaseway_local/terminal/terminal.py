"""What the command line prints: data on standard output, progress and complaints on standard error."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from leaseway_local.connection.clients import Target
from leaseway_local.engine import choice as engines
from leaseway_local.errors import LocalCloudError

data = Console(soft_wrap=True, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
"""For what a command was asked for."""

notes = Console(stderr=True, highlight=False, emoji=False)
"""For everything else."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
TargetOption = Annotated[
    Target,
    typer.Option(
        "--target",
        callback=engines.serving,
        help="Where to work: the engine of `leaseway up`, a LocalStack, or AWS.",
    ),
]


def print_json(value: Any) -> None:
    """Print one JSON document, without colours."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def complain(what: str, todo: str = "") -> None:
    """Tell what failed and what to do about it."""
    notes.print(f"[bold red]✗[/] {_plain(what)}", soft_wrap=True)
    if todo:
        notes.print(f"  {_plain(todo)}", soft_wrap=True)


def told(main: Callable[[], None]) -> None:
    """Run a module's main function; what fails is told as the commands tell it, and exits 1."""
    try:
        main()
    except LocalCloudError as problem:
        complain(problem.what, problem.todo)
        sys.exit(1)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


class Steps:
    """Progress of a long command: the step under way with a spinner, the finished ones with their time."""

    def __init__(self) -> None:
        self._status = notes.status("")

    def now(self, what: str) -> None:
        """Say what is being done."""
        if notes.is_terminal:
            self._status.update(_plain(what))

    def done(self, what: str) -> None:
        """Say what has been done."""
        notes.print(f"[green]✓[/] {_plain(what)}", soft_wrap=True)

    def note(self, what: str) -> None:
        """Say something that the reader may want to act upon."""
        notes.print(f"[yellow]![/] {_plain(what)}", soft_wrap=True)


@contextmanager
def steps() -> Iterator[Steps]:
    """Show a command's progress while its block runs."""
    shown = Steps()
    with shown._status:
        yield shown


class Stopwatch:
    """Seconds since it was made, for a person: `1.4 s`."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __str__(self) -> str:
        return f"{time.monotonic() - self._since:.1f} s"
