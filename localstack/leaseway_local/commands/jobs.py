"""`leaseway jobs`: create jobs, read them, wait for them, cancel and retry them."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from leaseway_local.answers import JobAnswer, JobPageAnswer
from leaseway_local.commands import bulk_changes
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.job_waiting import wait_for
from leaseway_local.commands.options import CursorOption, JsonOption, TargetOption, refuse_nan
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.connection.pages import read_pages, read_pages_so_far
from leaseway_local.terminal.console import data, messages, print_json
from leaseway_local.terminal.tables import format_more, format_progress, job_table, print_job

_YEAR = 31_536_000  # seconds; the longest delay of a job

app = typer.Typer(no_args_is_help=True, help="Create jobs, read them, wait for them, cancel and retry them.")

JobId = Annotated[str, typer.Argument(help="The job's id.", show_default=False)]
Timeout = Annotated[
    float, typer.Option(help="The longest time to wait, in seconds.", min=0, max=_YEAR, callback=refuse_nan)
]


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; refuse a repeated name, because Python would silently take its last value."""
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _parse_float(text: str) -> float:
    """Parse a number, refusing one that Python would silently take for infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def json_object(text: str) -> dict[str, Any]:
    """Parse an option's text as a JSON object.

    Raises:
        typer.BadParameter: it is not JSON, or not an object.
    """
    try:
        parsed = json.loads(
            text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant, parse_float=_parse_float
        )
    except (ValueError, RecursionError) as problem:
        raise typer.BadParameter(f"not JSON: {problem}") from problem
    if not isinstance(parsed, dict):
        raise typer.BadParameter("must be a JSON object, such as '{\"duration_ms\": 500}'")
    return parsed


@app.command()
def create(
    type_name: Annotated[
        str, typer.Argument(metavar="TYPE", help="The job type, such as SLEEP or HTTP_GET.", show_default=False)
    ],
    payload: Annotated[
        dict[str, Any], typer.Option(parser=json_object, metavar="JSON", help="The payload, as the type defines it.")
    ] = "{}",  # type: ignore[assignment]
    ttl_ms: Annotated[int | None, typer.Option(help="Time to live of each attempt, in milliseconds.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts before the job becomes FAILED.")] = None,
    expires_after_ms: Annotated[
        int | None, typer.Option(help="Cancel the job if no attempt has started within this many milliseconds.")
    ] = None,
    delay: Annotated[
        int | None, typer.Option(help="Start it no sooner than this many seconds from now, up to a year.")
    ] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low; normal by default.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag to find the job by; may be repeated, up to ten.")
    ] = None,
    order_key: Annotated[
        str | None, typer.Option(help="Jobs with the same key run one at a time, in the order of creation.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the job ends; exit 1 unless it is COMPLETED.")
    ] = False,
    timeout: Timeout = 900,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Create a job."""
    options = {
        "ttl_ms": ttl_ms,
        "max_attempts": max_attempts,
        "expires_after_ms": expires_after_ms,
        "delay_seconds": delay,
        "priority": priority,
        "order_key": order_key,
        "tags": tags,
    }
    given_options = {name: value for name, value in options.items() if value is not None}
    with call_api(target, as_json=as_json) as api:
        job = api.post_once("/api/v1/jobs", {"type": type_name, "payload": payload, **given_options}, JobAnswer)
        if wait:
            _wait_and_print(api, [job["id"]], timeout, single=True, as_json=as_json)
        else:
            print_job(job, as_json=as_json)


@app.command()
def get(job_id: JobId, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Show one job, its payload and its result."""
    with call_api(target, as_json=as_json) as api:
        print_job(api.get(f"/api/v1/jobs/{quote_segment(job_id)}", JobAnswer), as_json=as_json)


@app.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="Only jobs with this status: CREATED, RUNNING, COMPLETED, FAILED or CANCELLED.")
    ] = None,
    type_name: bulk_changes.OfType = None,
    tag: bulk_changes.WithTag = None,
    ended_after: Annotated[
        str | None,
        typer.Option(help="Only jobs that ended at or after this time (RFC 3339), in the order of their ends."),
    ] = None,
    size: Annotated[int, typer.Option(help="Jobs per page, up to 100.")] = 20,
    cursor: CursorOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Follow the cursors to the end.")] = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first.

    With --ended-after, the last page has a cursor too: pass it later to list the jobs that have ended since.
    """
    query = {"status": status, "type": type_name, "tag": tag, "size": size, "cursor": cursor}
    query |= {} if ended_after is None else {"ended_after": ended_after}
    read = read_pages if ended_after is None else read_pages_so_far
    with call_api(target, as_json=as_json) as api:
        pages = read(api, "/api/v1/jobs", JobPageAnswer, query)
        page = _join_pages(pages) if everything else next(pages)
    if as_json:
        print_json(page)
        return
    data.print(job_table(page["content"]))
    if page["cursor"]:
        data.print(format_more(page))


@app.command()
def wait(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The jobs' ids.", show_default=False)],
    timeout: Timeout = 900,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Wait until all the jobs have ended; exit 1 unless every one is COMPLETED in time."""
    with call_api(target, as_json=as_json) as api:
        _wait_and_print(api, job_ids, timeout, single=False, as_json=as_json)


bulk_changes.add_commands(app)


def _join_pages(pages: Iterator[JobPageAnswer]) -> JobPageAnswer:
    content, cursor = [], None
    for page in pages:
        content += page["content"]
        cursor = page["cursor"]
    return {"content": content, "totalElements": len(content), "cursor": cursor}


def _wait_and_print(api: ApiClient, job_ids: Sequence[str], timeout: float, *, single: bool, as_json: bool) -> None:
    with messages.status("") as status:
        printed: dict[str, str] = {}

        def show_progress(left: Sequence[JobAnswer]) -> None:
            progress = {job["id"]: format_progress(job) for job in left if format_progress(job)}
            status.update(Text(f"waiting for {len(left)} of {len(job_ids)} {'; '.join(progress.values())}"))
            if not status.console.is_terminal:
                _print_progress(progress.items() - printed.items())
            printed.update(progress)

        jobs = wait_for(api, job_ids, timeout, on_poll=show_progress)
    if as_json:
        print_json(jobs[0] if single else jobs)
    elif single:
        print_job(jobs[0], as_json=False)
    else:
        data.print(job_table(jobs, results=True))
    if unfinished := [job for job in jobs if job["status"] in {"CREATED", "RUNNING"}]:
        messages.print(f"not finished after {timeout:g} s: {', '.join(job['id'] for job in unfinished)}", style="red")
    if any(job["status"] != "COMPLETED" for job in jobs):
        raise typer.Exit(1)


def _print_progress(changes: Iterable[tuple[str, str]]) -> None:
    """Print a line for each job whose progress has changed, when no terminal shows it in place."""
    for job_id, text in sorted(changes):
        messages.print(job_id, text, markup=False)
