"""The command `leaseway`. Each group of commands is a module of its own with a typer app."""

import errno
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer._click.exceptions import ClickException  # typer exports only some of its subclasses
from typer.rich_utils import rich_abort_error, rich_format_error

from leaseway_local.commands import (
    api_local,
    balance,
    cloud,
    dead_letters,
    demo,
    deployments,
    errors,
    identity,
    jobs,
    ledger,
    monitor,
    nodes,
    prometheus,
    status,
    tasks,
    top,
    users,
)
from leaseway_local.connection import engine_choice
from leaseway_local.connection.api_client import ApiProblem
from leaseway_local.connection.engine_choice import EngineName
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import escape_controls, make_output_safe, print_error

_ENGINE = "--engine"
_DEBUG = "LEASEWAY_DEBUG"
_WRITE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


class _Commands(typer.core.TyperGroup):
    """Accepts --engine after a command as well as before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        for at in range(end):
            if args[at] == _ENGINE or args[at].startswith(f"{_ENGINE}="):
                width = 2 if args[at] == _ENGINE else 1
                args = args[at : at + width] + args[:at] + args[at + width :]
                break
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="leaseway",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    engine: Annotated[
        EngineName | None,
        typer.Option(
            _ENGINE,
            envvar=engine_choice.VARIABLE,
            help="The engine of the local target: the embedded one, or a LocalStack that runs at LOCALSTACK_HOST.",
        ),
    ] = None,
) -> None:
    """Balances and background jobs on a local cloud, on LocalStack, or on AWS."""
    if engine:
        engine_choice.choose(engine)


app.add_typer(cloud.app)
app.command()(status.status)
app.add_typer(deployments.app)
app.add_typer(identity.app)
app.command()(demo.demo)
app.command()(nodes.node)
app.command()(monitor.monitor)
app.command()(errors.errors)
app.command()(top.top)
app.command()(api_local.api_local)
app.command()(prometheus.prometheus)
app.add_typer(balance.app, name="balance")
app.add_typer(jobs.app, name="jobs")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(ledger.app, name="ledger")
app.add_typer(tasks.app, name="tasks")
app.add_typer(users.app, name="users")


def main() -> None:
    """Run a command. A failure prints what failed and what to do, and exits 1; Ctrl-C exits 130.

    Raises:
        Exception: a failure that no part of the program expects, if LEASEWAY_DEBUG is set.
    """
    make_output_safe()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as problem:
        with suppress(OSError):  # there may be no room for the report either
            _report(problem)
    sys.exit(1)


def _report(problem: Exception) -> None:
    """Print what failed and what to do; a failure that no part of the program expects is raised again on request."""
    match problem:
        case LocalCloudError():
            print_error(problem.what, problem.todo)
        case ApiProblem():
            print_error(f"the API refused: {problem}")
        case ClientError() | BotoCoreError():
            print_error(f"AWS refused: {problem}", "Check --target, the credentials and the region.")
        case OSError():
            _discard_output()
            if not isinstance(problem, BrokenPipeError):
                print_error(_describe_system_error(problem))
        case RecursionError():
            print_error("an argument, a file or an answer is nested too deeply.")
        case _:
            if os.environ.get(_DEBUG):
                raise problem
            print_error(f"unexpected failure: {type(problem).__name__}: {problem}", f"{_DEBUG}=1 shows where.")


def _describe_system_error(problem: OSError) -> str:
    """Say what the system refused; what names no file is the output, if it is a failure to write."""
    unnamed = "the output" if problem.errno in _WRITE_ERRORS else "the system"
    name = problem.filename2 or problem.filename or unnamed
    return f"{os.fsdecode(name) if isinstance(name, str | bytes) else name}: {problem.strerror or problem}"


def _run() -> None:
    """Run the command of the arguments and end the process with its status."""
    try:
        status = app(standalone_mode=False)
    except ClickException as problem:
        problem.message = escape_controls(problem.message)
        rich_format_error(problem)
        sys.exit(problem.exit_code)
    except typer.Abort:
        rich_abort_error()
        sys.exit(1)
    sys.exit(status or 0)


def _discard_output() -> None:
    """Let Python's last flush at exit succeed although the output cannot be written."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
