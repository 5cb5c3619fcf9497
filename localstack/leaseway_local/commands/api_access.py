"""How commands call the deployment's API, and print its refusals."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import typer

from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_api
from leaseway_local.terminal.tables import print_problem


@contextmanager
def call_api(target: Target, *, as_json: bool = False) -> Iterator[ApiClient]:
    """Yield a client of the target's API; a refusal inside the block is printed and ends the command with exit 1.

    Raises:
        LocalCloudError: nothing runs there, or nothing is deployed.
    """
    with open_api(target) as api:
        try:
            yield api
        except ApiProblem as problem:
            print_problem(problem.document | {"status": problem.status}, as_json=as_json)
            raise typer.Exit(1) from problem


def quote_segment(text: str) -> str:
    """Quote text as one segment of a path.

    Raises:
        typer.BadParameter: no request can name it: it is empty, a dot segment, or not UTF-8.
    """
    if text in {"", ".", ".."}:
        raise typer.BadParameter(f"{text!r} is neither an id nor a name")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as problem:
        raise typer.BadParameter("an id or a name must be UTF-8") from problem
