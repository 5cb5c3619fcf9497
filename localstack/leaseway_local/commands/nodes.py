"""`leaseway node`: a process on this machine that runs jobs from a deployment's queues."""

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
        help="Percentage of the generated messages that fail; 5 by default.",
        callback=refuse_nan,
    ),
]
IntervalOption = Annotated[
    int, typer.Option("--interval-ms", min=1, max=_DAY_MS, help="Milliseconds between two messages of the generator.")
]
RefreshOption = Annotated[
    int,
    typer.Option(
        "--refresh-ms",
        min=100,
        max=_DAY_MS,
        help="Milliseconds between two renewals of the generator's lease, which lasts twice as long.",
    ),
]


def node(
    name: Annotated[
        str | None, typer.Option(help="The worker's name; by default the machine's name and the process id.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Jobs that run at the same time.")] = 10,
    queues: Annotated[
        str,
        typer.Option(
            help="Comma-separated: normal, high, low, ordered, tasks, or a type's name. By default, the queues that "
            "no Lambda function reads: those of external types, or all if the parameter WorkerEnabled is false."
        ),
    ] = "",
    drain_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=86_400,
            help="Seconds that running jobs have to finish after SIGTERM or Ctrl-C.",
            callback=refuse_nan,
        ),
    ] = 25,
    poll_seconds: Annotated[int, typer.Option(min=1, max=8, help="Seconds that one request waits for messages.")] = 5,
    generate: Annotated[
        bool, typer.Option("--generate", help="Compete to be the generator of messages; only one node is it at a time.")
    ] = False,
    interval_ms: IntervalOption = 500,
    refresh_ms: RefreshOption = 2000,
    failure_percent: FailureOption = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Report on standard output, as JSON lines; end when standard input does."),
    ] = False,
    from_environment: Annotated[
        bool,
        typer.Option(
            "--from-environment", help="Read all settings from environment variables instead of a deployment."
        ),
    ] = False,
    target: TargetOption = Target.LOCAL,
    stack: StackOption = DEFAULT_STACK,
) -> None:
    """Run jobs on this machine with the worker function's code, until SIGTERM or Ctrl-C. Logs go to standard error."""
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
    """Return the command line of a node's process, without the options that have no value."""
    # In one argument each, because a value may begin with a dash.
    arguments = [f"{option}={value}" for option, value in options.items() if value is not None]
    return [sys.executable, "-m", "worker.node", *arguments, *flags]


def environment_of(clients: Clients, stack: str = DEFAULT_STACK) -> dict[str, str]:
    """Return the environment of a process that works as the stack's worker function does.

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
    """Return the environment with this project's code first on Python's path."""
    code = [ROOT / folder for folder in ("localstack", "functions", "layers/core/python")]
    before = environment.get("PYTHONPATH", "")
    return dict(environment) | {"PYTHONPATH": os.pathsep.join([*map(str, code), *filter(None, [before])])}
