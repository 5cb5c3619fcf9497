"""`leaseway jobs`: create jobs, read them, wait for them, cancel and retry them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.bulk_changes import change_many
from leaseway_local.commands.job_waiting import wait_for
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data, messages, print_json
from leaseway_local.terminal.tables import Json, format_attempt, format_more, format_progress, job_table

app = typer.Typer(no_args_is_help=True, help="Create jobs, read them, wait for them, cancel and retry them.")

JobId = Annotated[str, typer.Argument(help="The job's id.", show_default=False)]
OptionalJobId = Annotated[str | None, typer.Argument(help="The job's id; leave it out to give a filter.")]
OfType = Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")]
WithTag = Annotated[str | None, typer.Option("--tag", help="Only jobs with this tag.")]
OfOwner = Annotated[str | None, typer.Option("--owner", help="For an Admin: another's name, or '*' for everybody's.")]
After = Annotated[str | None, typer.Option(help="Only jobs created at this time or later, as 2026-02-04T15:30:00Z.")]
Before = Annotated[str | None, typer.Option(help="Only jobs created before this time.")]
Limit = Annotated[int, typer.Option(help="Jobs to change at most.", min=1, max=100_000)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which jobs it would be, and change none.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)]


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose names must differ: of two values for one name, Python would silently take the last."""
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def json_object(text: str) -> dict[str, Any]:
    """An option's text as a JSON object, or a complaint about it."""
    try:
        parsed = json.loads(text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise typer.BadParameter(f"not JSON: {problem}") from problem
    if not isinstance(parsed, dict):
        raise typer.BadParameter("must be a JSON object, such as '{\"duration_ms\": 500}'")
    return parsed


@app.command()
def create(
    type_name: Annotated[str, typer.Argument(metavar="TYPE", help="Such as SLEEP or HTTP_GET.", show_default=False)],
    payload: Annotated[
        dict[str, Any], typer.Option(parser=json_object, metavar="JSON", help="The type's parameters.")
    ] = "{}",  # type: ignore[assignment]
    ttl_ms: Annotated[int | None, typer.Option(help="Time to live in milliseconds, from each attempt's start.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts before the job is FAILED.")] = None,
    delay: Annotated[int | None, typer.Option(help="Seconds before which it does not start, up to a year.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low; normal if not given.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="A word to find it by; give it once for each, up to ten.")
    ] = None,
    order_key: Annotated[str | None, typer.Option(help="Jobs with the same one start one by one, as created.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the job's end; exit 1 unless it is COMPLETED.")
    ] = False,
    timeout: Timeout = 900,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Create a job."""
    options = {
        "ttl_ms": ttl_ms,
        "max_attempts": max_attempts,
        "delay_seconds": delay,
        "priority": priority,
        "order_key": order_key,
        "tags": tags,
    }
    wanted = {"type": type_name, "payload": payload, **options}
    with call_api(target, as_json=as_json) as api:
        job = api.post_once("/api/v1/jobs", {name: value for name, value in wanted.items() if value is not None})
        if wait:
            _wait_and_print(api, [job["id"]], timeout, single=True, as_json=as_json)
        else:
            _print_job(job, as_json=as_json)


@app.command()
def get(job_id: JobId, target: TargetOption = Target.LOCAL, as_json: JsonOption = False) -> None:
    """Show one job, its payload and its result."""
    with call_api(target, as_json=as_json) as api:
        _print_job(api.get(f"/api/v1/jobs/{quote_segment(job_id)}"), as_json=as_json)


@app.command("list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="CREATED, RUNNING, COMPLETED, FAILED or CANCELLED.")] = None,
    type_name: OfType = None,
    tag: WithTag = None,
    size: Annotated[int, typer.Option(help="Jobs a page, up to 100.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The cursor that a page before this one gave.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Follow the cursors to the end.")] = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    query = {"status": status, "type": type_name, "tag": tag, "size": size, "cursor": cursor}
    with call_api(target, as_json=as_json) as api:
        pages = _pages(api, query)
        page = _joined(pages) if everything else next(pages)
    if as_json:
        print_json(page)
        return
    data.print(job_table(page["content"]))
    if page.get("cursor"):
        data.print(format_more(page), markup=True)


@app.command()
def wait(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The jobs' ids.", show_default=False)],
    timeout: Timeout = 900,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Wait until jobs end; exit 1 unless every one is COMPLETED in time."""
    with call_api(target, as_json=as_json) as api:
        _wait_and_print(api, job_ids, timeout, single=False, as_json=as_json)


@app.command()
def cancel(
    job_id: OptionalJobId = None,
    status: Annotated[str | None, typer.Option(help="Only jobs that are CREATED, or that are RUNNING.")] = None,
    type_name: OfType = None,
    tag: WithTag = None,
    owner: OfOwner = None,
    created_after: After = None,
    created_before: Before = None,
    limit: Limit = 100,
    dry_run: DryRun = False,
    yes: Yes = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """End a job that waits or runs, or many by a filter; their results are refused from then on."""
    selection = _selection(job_id, status, type_name, tag, owner, created_after, created_before)
    with call_api(target, as_json=as_json) as api:
        if job_id is not None:
            _print_job(api.post(f"/api/v1/jobs/{quote_segment(job_id)}/cancel", {}), as_json=as_json)
        else:
            change_many(api, "cancel", selection, limit=limit, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def retry(
    job_id: OptionalJobId = None,
    status: Annotated[str | None, typer.Option(help="Only jobs that are FAILED, or that are CANCELLED.")] = None,
    type_name: OfType = None,
    tag: WithTag = None,
    owner: OfOwner = None,
    created_after: After = None,
    created_before: Before = None,
    limit: Limit = 100,
    dry_run: DryRun = False,
    yes: Yes = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Try a FAILED or CANCELLED job again, or many by a filter, each under its id."""
    selection = _selection(job_id, status, type_name, tag, owner, created_after, created_before)
    with call_api(target, as_json=as_json) as api:
        if job_id is not None:
            _print_job(api.post(f"/api/v1/jobs/{quote_segment(job_id)}/retry", {}), as_json=as_json)
        else:
            change_many(api, "retry", selection, limit=limit, dry_run=dry_run, yes=yes, as_json=as_json)


def _selection(job_id: str | None, *given: str | None) -> dict[str, str]:
    """The filter of `cancel` and `retry`; a complaint where there is neither that nor an id, or both."""
    names = ("status", "type", "tag", "owner", "created_after", "created_before")
    selection = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    if (job_id is None) is not bool(selection):
        raise typer.BadParameter("give either a job's id, or a filter such as --status, --type or --tag")
    return selection


def _pages(api: ApiClient, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = api.get("/api/v1/jobs", **query)
        yield page
        if not page.get("cursor"):
            return
        query = query | {"cursor": page["cursor"]}


def _joined(pages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    content = [job for page in pages for job in page["content"]]
    return {"content": content, "totalElements": len(content), "cursor": None}


def _wait_and_print(api: ApiClient, job_ids: Sequence[str], timeout: float, *, single: bool, as_json: bool) -> None:
    with messages.status("") as status:
        shown: dict[str, str] = {}

        def look(left: Sequence[Json]) -> None:
            told = {job["id"]: format_progress(job) for job in left if format_progress(job)}
            status.update(Text(f"waiting for {len(left)} of {len(job_ids)} {'; '.join(told.values())}"))
            if not status.console.is_terminal:
                _print_progress(told.items() - shown.items())
            shown.update(told)

        jobs = wait_for(api, job_ids, timeout, on_look=look)
    if as_json:
        print_json(jobs[0] if single else jobs)
    elif single:
        _print_job(jobs[0], as_json=False)
    else:
        data.print(job_table(jobs, results=True))
    if unfinished := [job for job in jobs if job["status"] in {"CREATED", "RUNNING"}]:
        messages.print(f"not finished after {timeout:g} s: {', '.join(job['id'] for job in unfinished)}", style="red")
    if any(job["status"] != "COMPLETED" for job in jobs):
        raise typer.Exit(1)


def _print_progress(told: Iterable[tuple[str, str]]) -> None:
    """What is new, a line a job, where no terminal shows it in place."""
    for job_id, text in sorted(told):
        messages.print(job_id, text, markup=False)


def _print_job(job: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    data.print(job_table([job]))
    if job["tags"]:
        data.print("tags   ", ", ".join(job["tags"]), markup=False)
    data.print("payload", json.dumps(job["payload"], ensure_ascii=False), markup=False)
    if job["result"] is not None:
        data.print("result ", json.dumps(job["result"], ensure_ascii=False), markup=False)
    if job["error_message"]:
        data.print("error  ", job["error_message"], markup=False)
    if len(job["history"]) > 1:
        data.print(*map(format_attempt, job["history"]), sep="\n", markup=False)
