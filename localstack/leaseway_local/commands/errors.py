"""`leaseway errors`: list or remove the messages that could not be handled."""

from collections.abc import Iterator
from typing import Annotated

import typer

from leaseway_local.answers import JobAnswer, JobPageAnswer
from leaseway_local.commands.api_access import call_api, quote_segment
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection.api_client import ApiClient, read_answer, read_problem
from leaseway_local.connection.clients import Target
from leaseway_local.connection.pages import read_pages
from leaseway_local.terminal.console import data, print_json
from leaseway_local.terminal.tables import job_table

_OWNER = "@generator"
_TAKEN_BY_ANOTHER = (404, 409, 412)


def errors(
    drain: Annotated[bool, typer.Option("--drain", help="Remove the listed messages.")] = False,
    target: TargetOption = Target.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List the generator's messages that FAILED.

    With --drain they are removed, and each is listed by only one of several concurrent commands.
    """
    with call_api(target, as_json=as_json) as api:
        failed = list(_remove_failed(api) if drain else _list_failed(api))
    if as_json:
        print_json({"content": failed, "totalElements": len(failed)})
        return
    data.print(job_table(failed, results=True))
    data.print(f"{len(failed):,} {'removed' if drain else 'in all'}", style="dim")


def _list_failed(api: ApiClient) -> Iterator[JobAnswer]:
    query = {"owner": _OWNER, "status": "FAILED", "type": "MESSAGE", "size": 100}
    for page in read_pages(api, "/api/v1/jobs", JobPageAnswer, query):
        yield from page["content"]


def _remove_failed(api: ApiClient) -> Iterator[JobAnswer]:
    """Delete each failed job, and yield those that this call deleted, not a concurrent one."""
    for job in _list_failed(api):
        unchanged = {"If-Match": f'"{job["version"]}"'}
        answer = api.request("DELETE", f"/api/v1/jobs/{quote_segment(job['id'])}", headers=unchanged)
        if answer.is_success:
            yield read_answer(answer, JobAnswer)
        elif answer.status_code not in _TAKEN_BY_ANOTHER:
            raise read_problem(answer)
