"""`leaseway dead-letters`: see the jobs that no claim ever settled, and try them again."""

from typing import Annotated

import typer

from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data, print_json
from leaseway_local.terminal.tables import Json, format_more, format_time, job_table

app = typer.Typer(no_args_is_help=True, help="See jobs that no claim ever settled, and try them again.")

_PATH = "/api/v1/dead-letters"


@app.command("list")
def list_dead_letters(
    size: Annotated[int, typer.Option(help="Jobs a page, up to 100.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The cursor that a page before this one gave.")] = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, given up last first."""
    with call_api(target, as_json=as_json) as api:
        page = api.get(_PATH, size=size, cursor=cursor)
    if as_json:
        print_json(page)
        return
    data.print(job_table(page["content"], results=True))
    if page["cursor"]:
        data.print(format_more(page), markup=True)


@app.command()
def replay(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One dead letter's id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every one, those first that were given up first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: do not ask first.")] = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Try dead letters again: one of them, or with --all every one, some a second."""
    if (job_id is None) != everything:
        raise typer.BadParameter("give either an ID or --all")
    with call_api(target, as_json=as_json) as api:
        if job_id is None:
            _replay_all(api, yes=yes, as_json=as_json)
            return
        job = api.post(f"{_PATH}/{quote_segment(job_id)}/replay")
    if as_json:
        print_json(job)
    else:
        data.print(job_table([job]))


def _replay_all(api: ApiClient, *, yes: bool, as_json: bool) -> None:
    if not yes:
        total = api.get(_PATH, size=1)["totalElements"]
        typer.confirm(f"Try {'all' if total is None else f'about {total:,}'} dead letters again?", abort=True, err=True)
    replayed, done = 0, _replayed(api)
    while done["replayed"]:
        replayed += done["replayed"]
        last = done["last_starts_at"]
        if not done["left"]:
            break
        done = _replayed(api)
    told = {"replayed": replayed, "left": done["left"], "last_starts_at": last if replayed else None}
    if as_json:
        print_json(told)
    else:
        until = f"; the last one starts at {format_time(last)} UTC" if replayed else ""
        data.print(f"{replayed:,} replayed, {done['left']:,} left{until}")


def _replayed(api: ApiClient) -> Json:
    done: Json = api.post(f"{_PATH}/replay", {})
    return done
