"""What the commands on data share: the way to a deployment's API, and how its refusals are shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import typer

from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import api_of
from leaseway_local.terminal.rendering import print_problem


@contextmanager
def connected(target: Target, *, as_json: bool = False) -> Iterator[ApiClient]:
    """A client of the target's API; a refusal inside the block is printed and ends the command with exit 1.

    Raises:
        LocalCloudError: nothing runs there, or nothing is deployed.
    """
    with api_of(target) as api:
        try:
            yield api
        except ApiProblem as problem:
            print_problem(problem.document | {"status": problem.status}, as_json=as_json)
            raise typer.Exit(1) from problem


def quoted(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")
