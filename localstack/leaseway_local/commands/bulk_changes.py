"""`leaseway jobs cancel` and `retry`: one job, or all jobs that match a filter, a hundred per request."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

import typer

from leaseway_local.answer_checks import parse_time
from leaseway_local.answers import ChangedJobAnswer, ChangedJobsAnswer, JobAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Target
from leaseway_local.connection.pages import CursorTrail
from leaseway_local.terminal.console import data, messages, print_json
from leaseway_local.terminal.tables import Json, list_changes, print_job

_JOBS_PER_REQUEST = 100

Selection = Mapping[str, Any]

OptionalJobId = Annotated[str | None, typer.Argument(help="The job's id; omit it to select jobs by a filter.")]
OfType = Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")]
WithTag = Annotated[str | None, typer.Option("--tag", help="Only jobs with this tag.")]
OfOwner = Annotated[
    str | None, typer.Option("--owner", help="Admins only: only this user's jobs, or '*' for all users.")
]
After = Annotated[
    str | None, typer.Option(help="Only jobs created at or after this time, such as 2026-02-04T15:30:00Z.")
]
Before = Annotated[str | None, typer.Option(help="Only jobs created before this time.")]
Limit = Annotated[int, typer.Option(help="The largest number of jobs to change.", min=1, max=100_000)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which jobs would change, without changing them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


class Change(NamedTuple):
    """A command that changes jobs."""

    name: str
    """The command's name and the last segment of the API's path."""
    past: str
    """For its output: `12 jobs cancelled`."""
    summary: str
    status_help: str


_CHANGES = (
    Change(
        "cancel",
        "cancelled",
        "Cancel a waiting or running job, or all that match a filter. Their results are refused from then on.",
        "Only jobs with this status: CREATED or RUNNING.",
    ),
    Change(
        "retry",
        "queued again",
        "Try a FAILED or CANCELLED job again, or all that match a filter. A job keeps its id.",
        "Only jobs with this status: FAILED or CANCELLED.",
    ),
)


class Scope(NamedTuple):
    """The limits of a change by a filter."""

    limit: int
    dry_run: bool
    confirmed: bool


def add_commands(app: typer.Typer) -> None:
    """Add a command for each change of jobs."""
    for change in _CHANGES:
        _add_command(app, change)


def _add_command(app: typer.Typer, change: Change) -> None:
    @app.command(change.name, help=change.summary)
    def change_jobs(
        job_id: OptionalJobId = None,
        status: Annotated[str | None, typer.Option(help=change.status_help)] = None,
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
        selection = _select(
            job_id,
            status=status,
            type=type_name,
            tag=tag,
            owner=owner,
            created_after=created_after,
            created_before=created_before,
        )
        with call_api(target, as_json=as_json) as api:
            if job_id is not None:
                path = f"/api/v1/jobs/{quote_segment(job_id)}/{change.name}"
                print_job(api.post(path, {}, JobAnswer), as_json=as_json)
            else:
                change_many(api, change, selection, Scope(limit, dry_run, yes), as_json=as_json)


def _select(job_id: str | None, **filters: str | None) -> dict[str, str]:
    """Return the filters that were given.

    Raises:
        typer.BadParameter: there is neither an id nor a filter, or both.
    """
    selection = {name: value for name, value in filters.items() if value is not None}
    if (job_id is None) is not bool(selection):
        raise typer.BadParameter("give either a job's id, or a filter such as --status, --type or --tag")
    return selection


def change_many(api: ApiClient, change: Change, selection: Selection, scope: Scope, *, as_json: bool) -> None:
    """Change the selected jobs, after asking the user unless it is `confirmed`; exit 1 if some were refused.

    If the user is asked, only jobs that existed at that moment are changed.
    """
    limit = scope.limit
    if scope.dry_run or not scope.confirmed:
        preview = _change_in_parts(api, change, selection, limit, dry_run=True)
        if scope.dry_run or not preview["matched"]:
            _print(preview, change, dry_run=True, as_json=as_json)
            return
        messages.print(list_changes(preview["content"]))
        typer.confirm(f"{change.name} {_jobs(preview['matched'])}?", err=True, abort=True)
        selection, limit = _end_at_newest(selection, preview["content"]), preview["matched"]
    result = _change_in_parts(api, change, selection, limit, dry_run=False)
    _print(result, change, dry_run=False, as_json=as_json)
    if result["refused"]:
        raise typer.Exit(1)


def _change_in_parts(
    api: ApiClient, change: Change, selection: Selection, limit: int, *, dry_run: bool
) -> ChangedJobsAnswer:
    """Join the answers of as many requests as `limit` takes; `cursor` is None if there are no more jobs."""
    joined = ChangedJobsAnswer(matched=0, changed=0, refused=0, content=[], cursor=None)
    trail = CursorTrail()
    while True:
        rest = min(_JOBS_PER_REQUEST, limit - joined["matched"])
        body = {**selection, "limit": rest, "dry_run": dry_run}
        if joined["cursor"]:
            body["cursor"] = joined["cursor"]
        part = api.post(f"/api/v1/jobs/{change.name}", body, ChangedJobsAnswer)
        joined["matched"] += part["matched"]
        joined["changed"] += part["changed"]
        joined["refused"] += part["refused"]
        joined["content"] += part["content"]
        joined["cursor"] = trail.follow(part["cursor"])
        if joined["cursor"] is None or joined["matched"] >= limit:
            return joined


def _end_at_newest(selection: Selection, jobs: list[ChangedJobAnswer]) -> dict[str, Any]:
    """Limit a selection to jobs that are no newer than the newest of these."""
    newest = max((parse_time(job["created_at"]) for job in jobs), default=None)
    if newest is None:
        return dict(selection)
    return {**selection, "created_before": (newest + timedelta(milliseconds=1)).isoformat()}


def _print(result: ChangedJobsAnswer, change: Change, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(_to_json(result, dry_run=dry_run))
        return
    if result["content"]:
        data.print(list_changes(result["content"]))
    if dry_run:
        text = f"{_jobs(result['matched'])} would be {change.past}"
    else:
        refused = f", {result['refused']:,} refused because they had changed" if result["refused"] else ""
        text = f"{_jobs(result['changed'])} {change.past}{refused}"
    more = "; there are more: raise --limit or run it again" if result["cursor"] else ""
    data.print(text + more)


def _to_json(result: ChangedJobsAnswer, *, dry_run: bool) -> Json:
    counts = {name: result[name] for name in ("matched", "changed", "refused")}
    return {**counts, "dry_run": dry_run, "content": result["content"], "cursor": result["cursor"]}


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
