"""`leaseway up`, `down`, `restart`: the local engine and what is deployed to it."""

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local.commands.identity import show_admin
from leaseway_local.commands.options import JsonOption
from leaseway_local.connection import engine_choice, session_file
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sign_in import SignInRefusedError
from leaseway_local.deployment.deployer import Deployer, Deployment
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import default_home
from leaseway_local.engine.ports import configured_port, dashboard_port, demo_host
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.monitor import Monitor, dashboard_url
from leaseway_local.terminal.console import Steps, Stopwatch, data, print_json, show_steps

app = typer.Typer()


@app.command()
def up(
    json: JsonOption = False,
    brief: Annotated[bool, typer.Option("--brief", help="Do not print the next steps.")] = False,
) -> None:
    """Start the local cloud and deploy to it. Does nothing if it is running and up to date."""
    with show_steps() as progress:
        deployment = bring_up(progress)
        dashboard = _start_monitor(deployment.outputs, progress)
    first_time = _sign_in(deployment)
    if json:
        print_json(deployment.outputs.as_json())
        return
    if first_time:
        show_admin(deployment.outputs, deployment.admin)
    if not brief:
        show_next_steps(deployment.outputs, dashboard)


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Also delete the data: accounts, jobs and objects.")] = False,
) -> None:
    """Stop the local cloud and all of its processes. Its data is kept."""
    _require_embedded_engine("stop")
    engine = Engine(default_home())
    with show_steps() as progress:
        Monitor(engine.home).stop()
        progress.begin("stopping the engine and saving its data")
        ran = engine.stop()
        progress.finish("the local cloud is stopped" if ran else "the local cloud was not running")
        if purge:
            engine.purge()
            progress.finish("its data is removed")


@app.command()
def restart() -> None:
    """Stop the local cloud and start it again with the same data."""
    _require_embedded_engine("restart")
    configured_port()  # refuse an invalid port before anything is stopped
    down(purge=False)
    up()


def bring_up(progress: Steps) -> Deployment:
    """Start the engine unless it runs, and deploy. After a failure, stop an engine that this call started."""
    if engine_choice.uses_external_engine():
        return _deploy(_connect_to_external_engine(progress), progress)
    engine = Engine(default_home())
    record, started = _start_engine(engine, progress)
    try:
        return _deploy(Clients(Target.LOCAL, record.host), progress)
    except BaseException:
        if started:
            progress.warn("stopping the engine again, because the deployment failed")
            engine.stop()
        raise


def _deploy(clients: Clients, progress: Steps) -> Deployment:
    watch = Stopwatch()
    parameters = {"HttpAllowedHosts": demo_host(clients.port)}
    deployment = Deployer(clients, default_home(), parameters=parameters, progress=progress.begin).deploy()
    built = f"built {', '.join(deployment.built)}; " if deployment.built else "nothing to build; "
    progress.finish(built + (f"stack deployed ({watch})" if deployment.changed else "the stack is up to date"))
    return deployment


def _connect_to_external_engine(progress: Steps) -> Clients:
    clients = Clients(Target.LOCALSTACK)
    try:
        clients.get("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as problem:
        raise LocalCloudError(
            f"no LocalStack answers at {clients.host}: {problem}",
            "Start one, `docker compose -f localstack/compose.yaml up`, or set LOCALSTACK_HOST to where it is.",
        ) from problem
    progress.finish(f"LocalStack answers on {clients.host}")
    return clients


def _require_embedded_engine(what: str) -> None:
    if engine_choice.uses_external_engine():
        raise LocalCloudError(
            f"`leaseway` cannot {what} a LocalStack that it did not start.",
            f"{what.capitalize()} it where it was started, such as with `docker compose -f localstack/compose.yaml`.",
        )


def _sign_in(deployment: Deployment) -> bool:
    """Sign the first Admin in if this folder has no session. Returns whether it did."""
    saved = session_file.read(default_home(), deployment.outputs)
    if saved.users:
        return False
    try:
        saved.add(deployment.admin)
    except SignInRefusedError:
        return False
    saved.current = deployment.admin.username
    session_file.write(default_home(), deployment.outputs, saved)
    return True


def _start_engine(engine: Engine, progress: Steps) -> tuple[DaemonRecord, bool]:
    """Start the engine unless it runs and answers. Returns its record, and whether this call started it."""
    watch = Stopwatch()
    last = engine.record()
    if last and last.is_alive() and engine.answers(last):
        progress.finish(f"the engine runs on port {last.port}")
        if configured_port() != last.port:
            progress.warn(f"LEASEWAY_PORT takes effect at the next `leaseway restart`; the engine is on {last.port}")
        return last, False
    if last and last.is_alive():
        progress.warn(f"the engine (pid {last.pid}) does not answer; it is replaced")
        engine.stop()
    elif last:
        progress.warn("the engine had died; its data is as of the last clean stop")
    progress.begin("starting the engine")
    record = engine.start(configured_port())
    progress.finish(f"the engine listens on {record.host} ({watch})")
    return record, True


def _start_monitor(outputs: Outputs, progress: Steps) -> str:
    """Start the monitor unless it runs. Returns the dashboard's address."""
    engine_port = int((outputs.endpoint_url or "").rpartition(":")[2])
    url = dashboard_url(Monitor(default_home()).start(dashboard_port(engine_port)))
    progress.finish(f"the dashboard is at {url}")
    return url


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
