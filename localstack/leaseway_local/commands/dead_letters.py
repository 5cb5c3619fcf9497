"""`leaseway dead-letters`: list the jobs whose messages no worker could process, and try them again."""

from typing import Annotated

import typer

from leaseway_local.answer_checks import UnexpectedAnswerError
from leaseway_local.answers import JobAnswer, JobPageAnswer, ReplayAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import CursorOption, JsonOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data, print_json
from leaseway_local.terminal.tables import format_more, format_time, job_table

app = typer.Typer(no_args_is_help=True, help="List jobs whose messages no worker could process, and try them again.")

_PATH = "/api/v1/dead-letters"
_LONGEST_STANDSTILL = 1_000  # requests; the API counts at most 1,000 letters, so a longer list looks the same at first


@app.command("list")
def list_dead_letters(
    size: Annotated[int, typer.Option(help="Jobs per page, up to 100.")] = 20,
    cursor: CursorOption = None,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the most recent first."""
    with call_api(target, as_json=as_json) as api:
        page = api.get(_PATH, JobPageAnswer, size=size, cursor=cursor)
    if as_json:
        print_json(page)
        return
    data.print(job_table(page["content"], results=True))
    if page["cursor"]:
        data.print(format_more(page))


@app.command()
def replay(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One dead letter's id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay all of them, the oldest first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation of --all.")] = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Try one dead letter again, or with --all every dead letter, at a limited rate."""
    if (job_id is None) != everything:
        raise typer.BadParameter("give either an ID or --all")
    with call_api(target, as_json=as_json) as api:
        if job_id is None:
            _replay_all(api, yes=yes, as_json=as_json)
            return
        job = api.post(f"{_PATH}/{quote_segment(job_id)}/replay", None, JobAnswer)
    if as_json:
        print_json(job)
    else:
        data.print(job_table([job]))


def _replay_all(api: ApiClient, *, yes: bool, as_json: bool) -> None:
    if not yes:
        total = api.get(_PATH, JobPageAnswer, size=1)["totalElements"]
        typer.confirm(f"Try {'all' if total is None else f'about {total:,}'} dead letters again?", abort=True, err=True)
    total, last = _replay_until_none_left(api)
    if as_json:
        print_json({**last, "replayed": total})
    else:
        until = f"; the last one starts at {format_time(last['last_starts_at'])} UTC" if total else ""
        data.print(f"{total:,} replayed, {last['left']:,} left{until}")


def _replay_until_none_left(api: ApiClient) -> tuple[int, ReplayAnswer]:
    """Replay in several requests. Returns the number of replayed jobs, and the last answer that replayed any.

    Raises:
        UnexpectedAnswerError: many requests in a row made the list no shorter, so that this would never end.
    """
    answer = _replay_some(api)
    total, last, shortest, attempts = answer["replayed"], answer, answer["left"], 0
    while answer["replayed"] and answer["left"]:
        answer = _replay_some(api)
        total += answer["replayed"]
        last = {**answer, "last_starts_at": answer["last_starts_at"] or last["last_starts_at"]}
        attempts = 0 if answer["left"] < shortest else attempts + 1
        shortest = min(shortest, answer["left"])
        if attempts == _LONGEST_STANDSTILL:
            raise UnexpectedAnswerError(f"has a field 'left' that {attempts} replays did not lower: {answer['left']}")
    return total, last


def _replay_some(api: ApiClient) -> ReplayAnswer:
    return api.post(f"{_PATH}/replay", {}, ReplayAnswer)
