"""Hostile input through the real gateway: a 4xx problem document, and nothing has changed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.hostile_requests import TABLES, VICTIM, HostileRequest, vary_media_types

# What the gateway refuses before the function could: a path or a method that no route has.
NO_ROUTE = (404, "ROUTE_NOT_FOUND")
# The same of a line break in a path: the engine's wildcards, so its policies too, end at one.
NO_ACCESS = (403, "FORBIDDEN")

# Marked for the engine that can serve it.
MARKED = [
    pytest.param(
        table,
        marks=pytest.mark.only_on(
            "ministack", because="LocalStack takes multipart bodies apart before a function sees them"
        ),
        id=table.__name__,
    )
    if table is vary_media_types
    else table
    for table in TABLES
]


@pytest.fixture(scope="module")
def victim(make_stack: StackFactory) -> DeployedStack:
    """A stack that no other test writes to, with an account that must not change."""
    stack = make_stack("hostile", WorkerEnabled=False, SweeperEnabled=False)
    stack.api.post("/api/users", {"userId": VICTIM, "balance": 10})
    return stack


@pytest.mark.parametrize("table", MARKED, ids=lambda table: table.__name__)
def test_hostile_input_is_refused_and_changes_nothing(
    victim: DeployedStack, table: Callable[[], Iterator[HostileRequest]], subtests: pytest.Subtests
) -> None:
    # Given a deployed stack with an account
    before = everything(victim)
    for case in table():
        with subtests.test(case.name):
            # When a hostile request arrives over HTTP
            answer = send(victim, case)
            # Then it gets a problem document that names what is wrong and the request
            problem = answer.json()
            answered = (answer.status_code, problem["code"])
            assert answered in ((case.status, case.code), NO_ROUTE, NO_ACCESS), answer.text
            assert answered == (case.status, case.code) or is_no_route(case), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["status"] == answer.status_code
            assert problem["instance"] == f"urn:leaseway:request:{answer.headers['x-request-id']}"
            assert case.wrong is None or problem["code"] != case.code or problem["field"] == case.wrong
    # And nothing has changed
    assert everything(victim) == before


def is_no_route(case: HostileRequest) -> bool:
    # An escaped slash or dot segment may reach the gateway as a real one, and leads nowhere then.
    return case.code == "METHOD_NOT_ALLOWED" or any(set(value) & set("/.\x00\n") for value in case.path.values())


def send(stack: DeployedStack, case: HostileRequest) -> Any:
    headers = {"content-type": case.content_type} if case.content_type and case.body is not None else {}
    return stack.api.request(case.method, case.url, params=list(case.query), content=case.body, headers=headers)


def everything(stack: DeployedStack) -> Any:
    dynamodb, tables = stack.client("dynamodb"), ("AccountsTable", "JobsTable")
    items = [dynamodb.scan(TableName=stack.outputs[table], ConsistentRead=True)["Items"] for table in tables]
    return items, stack.client("s3").list_objects_v2(Bucket=stack.outputs["Bucket"]).get("Contents", [])
