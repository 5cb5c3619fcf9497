"""`leaseway node`: work on a deployment's queues as a process of this machine."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from leaseway_local.commands.options import TargetOption, refuse_nan
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import fetch, read_variables
from leaseway_local.connection.target import open_clients
from leaseway_local.engine.paths import DEFAULT_STACK, ROOT

_DAY_MS = 86_400_000

StackOption = Annotated[str, typer.Option("--stack", help="The deployment's stack.")]
FailureOption = Annotated[
    float | None,
    typer.Option(
        "--failure-percent",
        min=0,
        max=100,
        help="How many of a hundred messages it produces fail; else 5.",
        callback=refuse_nan,
    ),
]
IntervalOption = Annotated[
    int, typer.Option("--interval-ms", min=1, max=_DAY_MS, help="Between two messages of the generator.")
]
RefreshOption = Annotated[
    int,
    typer.Option(
        "--refresh-ms",
        min=100,
        max=_DAY_MS,
        help="Between two renewals of the generator's lease, which lasts twice as long.",
    ),
]


def node(
    name: Annotated[
        str | None, typer.Option(help="The worker's name; the machine's and the process id if left out.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Jobs at a time.")] = 10,
    queues: Annotated[
        str,
        typer.Option(
            help="Comma separated: normal, high, low, ordered, tasks, or a type's name. If left out, the queues that "
            "no Lambda function reads: of external types, or all where the parameter WorkerEnabled is false."
        ),
    ] = "",
    drain_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=86_400,
            help="Seconds that running jobs may take to finish after SIGTERM or Ctrl-C.",
            callback=refuse_nan,
        ),
    ] = 25,
    poll_seconds: Annotated[int, typer.Option(min=1, max=8, help="How long one request waits for messages.")] = 5,
    generate: Annotated[
        bool, typer.Option("--generate", help="Try to be the generator of messages, of which there is one at a time.")
    ] = False,
    interval_ms: IntervalOption = 500,
    refresh_ms: RefreshOption = 2000,
    failure_percent: FailureOption = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Tell what it does on standard output, as JSON lines; end with standard input."),
    ] = False,
    from_environment: Annotated[
        bool,
        typer.Option("--from-environment", help="Take the settings from the environment and ask for no deployment."),
    ] = False,
    target: TargetOption = Target.LOCAL,
    stack: StackOption = DEFAULT_STACK,
) -> None:
    """Run jobs here, with the worker function's own code, until SIGTERM or Ctrl-C; logs go to standard error."""
    environment = dict(os.environ) if from_environment else environment_of(open_clients(target), stack)
    options = {
        "--name": name,
        "--concurrency": concurrency,
        "--queues": queues or None,
        "--drain-seconds": drain_seconds,
        "--poll-seconds": poll_seconds,
        "--interval-ms": interval_ms,
        "--refresh-ms": refresh_ms,
        "--failure-percent": failure_percent,
    }
    flags = [flag for flag, is_set in (("--generate", generate), ("--report", report)) if is_set]
    # This process becomes the node: signals reach it, and nothing of the command line stays in its memory.
    os.execve(sys.executable, command(options, flags), with_code(environment))  # noqa: S606


def command(options: Mapping[str, object], flags: list[str]) -> list[str]:
    """The command line of a node's process; an option without a value is left out."""
    # In one argument each, because a value may begin with a dash.
    arguments = [f"{option}={value}" for option, value in options.items() if value is not None]
    return [sys.executable, "-m", "worker.node", *arguments, *flags]


def environment_of(clients: Clients, stack: str = DEFAULT_STACK) -> dict[str, str]:
    """The environment of a process that works as the stack's worker function does.

    Raises:
        LocalCloudError: there is no such stack.
    """
    outputs = fetch(clients, stack)
    variables = read_variables(clients, outputs["WorkerFunction"])
    environment = dict(os.environ) | variables | {"AWS_DEFAULT_REGION": outputs.region}
    if outputs.endpoint_url is None:
        return environment
    return environment | {
        "AWS_ENDPOINT_URL": outputs.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def with_code(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with this project's own code before all other."""
    code = [ROOT / folder for folder in ("localstack", "functions", "layers/core/python")]
    before = environment.get("PYTHONPATH", "")
    return dict(environment) | {"PYTHONPATH": os.pathsep.join([*map(str, code), *filter(None, [before])])}
