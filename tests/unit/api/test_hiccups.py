"""Calls of AWS that fail on their way: reads are repeated, and what stays failed is 503, never a bug of ours."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError, SSLError

from leaseway import clock
from leaseway.accounts import create_account
from support.api_gateway import call, post
from support.faulty_wire import intercept_calls, make_client_error
from support.openapi_answers import DOCUMENT, get_operation

URL = "https://dynamodb.invalid"
FAILURES = [
    ConnectionClosedError(endpoint_url=URL),
    EndpointConnectionError(endpoint_url=URL),
    ReadTimeoutError(endpoint_url=URL),
    SSLError(endpoint_url=URL, error="bad record"),
    make_client_error("InternalServerError", 500, "GetItem"),
    make_client_error("ThrottlingException", 400, "GetItem"),
]


@pytest.fixture(autouse=True)
def account(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    create_account("ann", 100, request_id="r")


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_read_that_fails_once_is_repeated(failure: Exception) -> None:
    failures = [failure]

    def fail_once(send: Callable[[], Any]) -> Any:
        if failures:
            raise failures.pop()
        return send()

    with intercept_calls(fail_once, "GetItem"):
        answer = call("GET", "/api/users/{userId}/balance", path={"userId": "ann"})
    assert (answer.status, answer.json["balance"]) == (200, 1)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_read_that_goes_on_failing_may_be_sent_again(failure: Exception) -> None:
    def fail(_: Callable[[], Any]) -> Any:
        raise failure

    with intercept_calls(fail, "GetItem") as calls:
        answer = call("GET", "/api/users/{userId}/balance", path={"userId": "ann"})
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
    assert calls == ["GetItem"] * 3


@pytest.mark.parametrize("failure", FAILURES[:3], ids=lambda failure: type(failure).__name__)
def test_a_debit_whose_answer_and_whose_look_up_are_lost_has_an_unknown_outcome(failure: Exception) -> None:
    def lose(send: Callable[[], Any]) -> Any:
        send()
        raise ReadTimeoutError(endpoint_url=URL)

    def lose_or_fail(send: Callable[[], Any], request: dict[str, Any]) -> Any:
        if "UpdateExpression" in request:
            lose(send)
        raise failure

    with intercept_calls(lose_or_fail, "UpdateItem", "GetItem"):
        answer = post("/api/users/update-balance", {"userId": "ann", "amount": -0.5})
    assert (answer.status, answer.json["code"]) == (503, "OUTCOME_UNKNOWN")


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, item in DOCUMENT["paths"].items() for method in item if item[method]["security"]],
)
def test_every_operation_documents_that_a_call_may_fail(path: str, method: str) -> None:
    assert "503" in get_operation(path, method)["responses"]


def test_a_refused_call_is_a_bug_of_ours() -> None:
    def fail(_: Callable[[], Any]) -> Any:
        raise make_client_error("ValidationException", 400, "GetItem")

    with intercept_calls(fail, "GetItem") as calls:
        answer = call("GET", "/api/users/{userId}/balance", path={"userId": "ann"})
    assert (answer.status, json.loads(answer.text)["code"], calls) == (500, "INTERNAL_ERROR", ["GetItem"])
