"""What the command line prints: data on standard output, progress and errors on standard error."""

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from leaseway_local.errors import LocalCloudError

_PIPED_WIDTH = 200  # columns, so that a table in a file or a pipe is not cut

# C0 but line feed and tab, DEL, C1, what changes the direction or the line of text, and what has no UTF-8.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """Show characters that would act on a terminal as their escapes, such as `\\x1b`."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def make_output_safe() -> None:
    """Let this process write any text: escape what the output's encoding lacks, and discard what a closed one gets."""
    _ignore_odd_sizes()
    # The stream of a descriptor that was closed (`>&-`) is None, whatever typeshed says.
    sys.stdout, sys.stderr = map(_replace_closed, (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _replace_closed(stream: TextIO | None) -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8") if stream is None else stream


class _SafeConsole(Console):
    """A console on which data can neither act on the terminal nor be read as markup.

    Every text is escaped where it becomes a segment; styles and cursor movements are added after that. A plain text is
    escaped before rich removes some of its characters, so that all of them are shown.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a plain text with its controls escaped."""
        return super().render_str(escape_controls(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with every text escaped."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escape_controls(text), style, control)


def _ignore_odd_sizes() -> None:
    """Remove sizes of the terminal from the environment that rich cannot take."""
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch("[1-9][0-9]{0,3}", os.environ.get(name, "")):
            os.environ.pop(name, None)


def _create_console(*, stderr: bool) -> Console:
    stream: TextIO | None = sys.stderr if stderr else sys.stdout
    is_terminal = stream is not None and stream.isatty()
    width = None if is_terminal else _PIPED_WIDTH
    return _SafeConsole(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False, width=width)


_ignore_odd_sizes()
data = _create_console(stderr=False)
"""For the data that a command returns."""

messages = _create_console(stderr=True)
"""For everything else."""


def print_json(value: Any) -> None:
    """Print one JSON document, without colours."""
    sys.stdout.write(format_json(value, indent=2) + "\n")


def format_json(value: Any, indent: int | None = None) -> str:
    """Format JSON in ASCII, with DEL escaped too.

    Raises:
        LocalCloudError: the value is nested too deeply.
    """
    try:
        return json.dumps(value, indent=indent, default=str).replace("\x7f", "\\u007f")
    except RecursionError as problem:
        raise LocalCloudError("the answer is nested too deeply to print.") from problem


def print_error(what: str, todo: str = "") -> None:
    """Print what failed and what to do about it."""
    _print_marked("✗", "bold red", what)
    if todo:
        messages.print(f"  {todo}")


def _print_marked(mark: str, style: str, text: str) -> None:
    messages.print(Text.assemble((mark, style), " ", escape_controls(text)))


def run_main(main: Callable[[], None]) -> None:
    """Run a module's main function; on a LocalCloudError print it and exit 1."""
    try:
        main()
    except LocalCloudError as problem:
        print_error(problem.what, problem.todo)
        sys.exit(1)


class Steps:
    """Progress of a long command: the current step with a spinner, the finished ones with their duration."""

    def __init__(self) -> None:
        self._status = messages.status("")

    def begin(self, what: str) -> None:
        """Show what is being done; only on a terminal."""
        if messages.is_terminal:
            self._status.update(Text(what))

    def finish(self, what: str) -> None:
        """Print what has been done."""
        _print_marked("✓", "green", what)

    def warn(self, what: str) -> None:
        """Print something that the user may want to act on."""
        _print_marked("!", "yellow", what)


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
