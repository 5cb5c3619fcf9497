"""`leaseway deploy`, `outputs`, `logs`: what is deployed to a target, and its logs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from leaseway_local.commands.options import JsonOption, TargetOption, refuse_nan
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_clients, read_outputs
from leaseway_local.deployment.deployer import Deployer, Deployment
from leaseway_local.engine.paths import ROOT, default_home
from leaseway_local.engine.ports import demo_host
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring import log_tail
from leaseway_local.terminal.console import Stopwatch, data, messages, print_error, print_json, show_steps

app = typer.Typer()

_YEAR_MINUTES = 525_600
_WATCHED = ("functions", "layers", "infra", "template.yaml")


@app.command()
def deploy(
    target: TargetOption = Target.LOCAL,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", help="A parameter of template.yaml, as Name=Value; may be repeated."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Deploy again when the code changes.")] = False,
    json: JsonOption = False,
) -> None:
    """Deploy template.yaml and its code to a target. Does nothing if nothing has changed."""
    parameters = _parse_parameters(parameter or [])
    result = _deploy(target, parameters)
    if json:
        print_json(result.outputs.as_json())
    if watch:
        _deploy_on_changes(target, parameters)


@app.command()
def outputs(target: TargetOption = Target.LOCAL, json: JsonOption = False) -> None:
    """Print the deployment's addresses and names."""
    named = read_outputs(target).as_json()
    if json:
        print_json(named)
        return
    table = Table("name", Column("value", overflow="fold"), box=None, show_header=False, pad_edge=False)
    for name, value in named.items():
        table.add_row(name, value or "")
    data.print(table)


@app.command()
def logs(
    function: Annotated[
        str | None,
        typer.Argument(help="A function such as api, worker or dead-letter, or `engine`; all functions by default."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until Ctrl-C.")] = False,
    minutes: Annotated[
        float, typer.Option(help="How many minutes to go back.", min=0, max=_YEAR_MINUTES, callback=refuse_nan)
    ] = 10,
    target: TargetOption = Target.LOCAL,
    json: JsonOption = False,
) -> None:
    """Print what the functions logged, oldest first."""
    if function == "engine":
        if target is not Target.LOCAL:
            raise LocalCloudError(
                "only the log of the embedded engine is here.", "Look at the log of the other engine where it runs."
            )
        data.print(log_tail.read_engine_log(default_home()), markup=False)
        return
    clients = open_clients(target)
    groups = log_tail.find_groups(read_outputs(target), function)
    for line in log_tail.read_lines(clients.get("logs"), groups, minutes=minutes, follow=follow):
        if json:
            print_json(line.as_json())
        else:
            data.print(line.as_text(), markup=False)


def _deploy(target: Target, parameters: dict[str, str]) -> Deployment:
    clients = open_clients(target)
    if clients.local:
        parameters = {"HttpAllowedHosts": demo_host(clients.port), **parameters}
    watch = Stopwatch()
    with show_steps() as progress:
        result = Deployer(clients, default_home(), parameters=parameters, progress=progress.begin).deploy()
        built = f"built {', '.join(result.built)}; " if result.built else ""
        progress.finish(built + (f"stack deployed ({watch})" if result.changed else "the stack is up to date"))
    return result


def _deploy_on_changes(target: Target, parameters: dict[str, str]) -> None:
    from watchfiles import PythonFilter, watch

    messages.print("watching functions/, layers/, infra/ and template.yaml; Ctrl-C ends it")
    watched = PythonFilter(extra_extensions=(".yaml", ".txt", ".json"))
    for _ in watch(*(Path(ROOT, name) for name in _WATCHED), watch_filter=watched, raise_interrupt=False):
        try:
            _deploy(target, parameters)
        except LocalCloudError as problem:  # the next change may fix it
            print_error(problem.what, problem.todo)


def _parse_parameters(options: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in options]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise LocalCloudError(f"--parameter {name!r} has no value.", "Write it as --parameter Name=Value.")
    return {name: value for name, _, value in pairs}
