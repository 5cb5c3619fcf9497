"""The command `leaseway`. Each group of commands is a module of its own with a typer app."""

import sys

import typer
from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local import (
    api_local,
    balance,
    cloud,
    dead_letters,
    demo,
    deployments,
    identity,
    jobs,
    ledger,
    message_errors,
    nodes,
    tasks,
)
from leaseway_local.api_client import ApiProblem
from leaseway_local.errors import LocalCloudError
from leaseway_local.node_monitor import monitor
from leaseway_local.terminal import complain

app = typer.Typer(
    name="leaseway",
    help="Balances and background jobs on a local cloud, on LocalStack, or on AWS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cloud.app)
app.add_typer(deployments.app)
app.add_typer(identity.app)
app.command()(demo.demo)
app.command()(nodes.node)
app.command()(monitor)
app.command()(message_errors.errors)
app.command()(api_local.api_local)
app.add_typer(balance.app, name="balance")
app.add_typer(jobs.app, name="jobs")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(ledger.app, name="ledger")
app.add_typer(tasks.app, name="tasks")


def main() -> None:
    """Run a command. A failure says what failed and what to do, and exits 1; Ctrl-C exits 130."""
    try:
        app()
    except LocalCloudError as problem:
        complain(problem.what, problem.todo)
    except ApiProblem as problem:
        complain(f"the API refused: {problem}")
    except (ClientError, BotoCoreError) as problem:
        complain(f"AWS refused: {problem}", "Check --target, the credentials and the region.")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1)


if __name__ == "__main__":
    main()
