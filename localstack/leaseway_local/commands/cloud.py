"""`leaseway up`, `down`, `restart`, `status`: the local engine and what is deployed to it."""

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Column, Table

from leaseway_local.commands import condition
from leaseway_local.commands.identity import show_admin
from leaseway_local.connection import signed_in
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sessions import SignInRefusedError
from leaseway_local.deployment.deployer import Deployer, Deployment
from leaseway_local.engine import choice as engines
from leaseway_local.engine.engine import Engine, EngineRecord, wanted_port
from leaseway_local.engine.places import default_home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.monitor import Monitor
from leaseway_local.terminal.terminal import JsonOption, Steps, Stopwatch, TargetOption, data, print_json, steps

app = typer.Typer()


def demo_host(port: int) -> str:
    """`host:port` of the server that the demo starts for its HTTP jobs: one above the engine's port."""
    return f"127.0.0.1:{port + 1 if port < 65_535 else port - 1}"


def dashboard_port(port: int) -> int:
    """The dashboard's port: two above the engine's."""
    return port + 2 if port < 65_534 else port - 2


@app.command()
def up(
    json: JsonOption = False,
    brief: Annotated[bool, typer.Option("--brief", help="Leave out what to do next.")] = False,
) -> None:
    """Start the local cloud and deploy to it; what runs and is up to date is left alone."""
    with steps() as shown:
        result = bring_up(shown)
        dashboard = _monitor_up(result.outputs, shown)
    first_time = _sign_in(result)
    if json:
        print_json(result.outputs.as_json())
        return
    if first_time:
        show_admin(result.outputs, result.admin)
    if not brief:
        show_next_steps(result.outputs, dashboard)


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data too: accounts, jobs, objects.")] = False,
) -> None:
    """Stop the local cloud; nothing is left running and its data is kept."""
    _only_embedded("stop")
    engine = Engine(default_home())
    with steps() as shown:
        Monitor(engine.home).stop()
        shown.now("stopping the engine and saving its data")
        ran = engine.stop()
        shown.done("the local cloud is stopped" if ran else "the local cloud was not running")
        if purge:
            engine.purge()
            shown.done("its data is removed")


@app.command()
def restart() -> None:
    """Stop the local cloud and start it again, with its data."""
    _only_embedded("restart")
    wanted_port()  # a port that is none is refused before anything is stopped
    down(purge=False)
    up()


@app.command()
def status(target: TargetOption = Target.LOCAL, json: JsonOption = False) -> None:
    """Show each part of the cloud: what runs, what died. Exits 1 when a part is not well; `leaseway up` revives it."""
    parts = condition.parts(target)
    well = all(part.well for part in parts)
    if json:
        print_json({"well": well, "parts": [part.as_json() for part in parts]})
    else:
        table = Table("part", "state", Column("detail", overflow="fold"), box=None, pad_edge=False)
        for part in parts:
            table.add_row(part.name, f"[{'green' if part.well else 'red'}]{part.state}[/]", part.detail)
        data.print(table)
        if not well:
            data.print("\n`leaseway up` revives what is not well.")
    raise typer.Exit(0 if well else 1)


def bring_up(shown: Steps) -> Deployment:
    """Start the engine where it does not run, and deploy. A failure leaves no engine that this call started."""
    if engines.elsewhere():
        return _deploy(_clients_elsewhere(shown), shown)
    engine = Engine(default_home())
    record, started = _engine_up(engine, shown)
    try:
        return _deploy(Clients(Target.LOCAL, record.host), shown)
    except BaseException:
        if started:
            shown.note("stopping the engine again, because the deployment did not succeed")
            engine.stop()
        raise


def _deploy(clients: Clients, shown: Steps) -> Deployment:
    watch = Stopwatch()
    allowed = {"HttpAllowedHosts": demo_host(clients.port)}
    result = Deployer(clients, default_home(), parameters=allowed, progress=shown.now).deploy()
    shown.done(_described(result, watch))
    return result


def _clients_elsewhere(shown: Steps) -> Clients:
    clients = Clients(Target.LOCALSTACK)
    try:
        clients.get("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as problem:
        raise LocalCloudError(
            f"no LocalStack answers at {clients.host}: {problem}",
            "Start one, `docker compose -f localstack/compose.yaml up`, or set LOCALSTACK_HOST to where it is.",
        ) from problem
    shown.done(f"LocalStack answers on {clients.host}")
    return clients


def _only_embedded(what: str) -> None:
    if engines.elsewhere():
        raise LocalCloudError(
            f"a LocalStack is not `leaseway`'s to {what}: it was not started from here.",
            "Do it where it was started, such as `docker compose -f localstack/compose.yaml down`.",
        )


def _sign_in(result: Deployment) -> bool:
    """Let the commands act for the first Admin, where nobody is signed in yet. Returns whether that was so."""
    kept = signed_in.read(default_home(), result.outputs)
    if kept.users:
        return False
    try:
        kept.keep(result.admin)
    except SignInRefusedError:
        return False
    kept.current = result.admin.username
    signed_in.write(default_home(), result.outputs, kept)
    return True


def _engine_up(engine: Engine, shown: Steps) -> tuple[EngineRecord, bool]:
    watch = Stopwatch()
    last = engine.record()
    if last and last.alive() and engine.answers(last):
        shown.done(f"the engine runs on port {last.port}")
        if wanted_port() != last.port:
            shown.note(f"LEASEWAY_PORT counts from the next `leaseway restart` on; the engine is on {last.port}")
        return last, False
    if last and last.alive():
        shown.note(f"the engine (pid {last.pid}) does not answer; it is replaced")
        engine.stop()
    elif last:
        shown.note("the engine had died; its data is as it was at the last clean stop")
    shown.now("starting the engine")
    record = engine.start(wanted_port())
    shown.done(f"the engine listens on {record.host} ({watch})")
    return record, True


def _monitor_up(found: Outputs, shown: Steps) -> str:
    """Have the metrics forwarded and the dashboard served; returns its address."""
    engine_port = int((found.endpoint_url or "").rpartition(":")[2])
    record = Monitor(default_home()).start(dashboard_port(engine_port))
    shown.done(f"the dashboard is at {record.url}")
    return record.url


def _described(result: Deployment, watch: Stopwatch) -> str:
    built = f"built {', '.join(result.built)}; " if result.built else "nothing to build; "
    return built + (f"stack deployed ({watch})" if result.changed else "the stack is up to date")


def show_next_steps(outputs: Outputs, dashboard: str) -> None:
    """Print where the cloud is, lines to copy, and how to stop."""
    host = (outputs.endpoint_url or "").removeprefix("http://")
    url = outputs.api_url
    data.print(
        f"""
API            {url}
console        {url}/console
documentation  {url}/docs
dashboard      {dashboard}
AWS endpoint   {outputs.endpoint_url}

Try it:
  TOKEN=$(.venv/bin/leaseway token)
  curl {url}/api/users/1/balance -H "authorization: Bearer $TOKEN"
  curl {url}/api/users/update-balance -H "authorization: Bearer $TOKEN" \\
    -H 'content-type: application/json' -d '{{"userId": 1, "amount": "-2.50"}}'
  curl {url}/api/v1/jobs -H "authorization: Bearer $TOKEN" \\
    -H 'content-type: application/json' -d '{{"type": "GENERATE_NUMBER", "payload": {{}}}}'

For programs that use localstack-client:
  export LOCALSTACK_HOST={host}

Stop with `make down` (data is kept), or `.venv/bin/leaseway down --purge`.""",
        markup=False,
    )
