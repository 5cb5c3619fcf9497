"""The command line in this process: every command by its name, and how one ends."""

import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import Any, NamedTuple, TextIO
from unittest.mock import patch

import typer
from typer.main import get_command

from leaseway_local import cli
from leaseway_local.terminal.console import data, messages

ACTS_ON_A_TERMINAL = frozenset(
    map(chr, [*range(9), *range(0xB, 0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F)])
) | frozenset(map(chr, range(0x2066, 0x206A)))


class CommandEnd(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


def list_commands() -> dict[tuple[str, ...], Any]:
    """Return every command by its words, such as `jobs list`, as the parser has it."""
    return dict(_walk_commands((), build_parser(cli.app)))


@cache
def build_parser(app: typer.Typer) -> Any:
    """Build the parser of an app once; typer builds it at each call, for a tenth of a second."""
    return get_command(app)


def _walk_commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        yield from _walk_commands((*words, name), child)


def run_command(
    *arguments: str, stdin: str = "", stdout: TextIO | None = None, stderr: TextIO | None = None
) -> CommandEnd:
    """Run `leaseway` with these arguments, and hold that it shows no traceback and nothing that acts on a terminal.

    What it prints goes to `stdout` and `stderr` instead if they are given, and is not part of the result then.
    """
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    for console in (data, messages):  # a process has no command before this one, whose output may have failed
        console.quiet = False
        del console._buffer[:]
    with (
        redirect_stdout(stdout or out),
        redirect_stderr(stderr or err),
        patch.object(sys, "argv", ["leaseway", *arguments]),
        patch.object(sys, "stdin", io.StringIO(stdin)),
        patch.object(typer.main, "get_command", build_parser),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    end_of_command = CommandEnd(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in end_of_command.err, end_of_command
    assert "unexpected failure" not in end_of_command.err, end_of_command
    assert not ACTS_ON_A_TERMINAL & set(end_of_command.out + end_of_command.err), end_of_command
    return end_of_command
