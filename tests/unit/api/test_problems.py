"""Errors as problem documents, and nothing of our inside in them."""

import io
import json

import pytest

from api.blueprints import balances
from leaseway.errors import OutcomeUnknownError, UnavailableError
from support.api_gateway import REQUEST_ID, call, post


def test_an_unknown_path_is_a_problem() -> None:
    # Given a path that no route has
    # When a gateway lets it through
    answer = call("GET", "/nowhere")
    # Then the answer is a complete problem document
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == REQUEST_ID
    assert answer.json == {
        "type": "urn:leaseway:problem:ROUTE_NOT_FOUND",
        "title": "There is no such path.",
        "status": 404,
        "code": "ROUTE_NOT_FOUND",
        "detail": "There is no such path.",
        "instance": f"urn:leaseway:request:{REQUEST_ID}",
    }


def test_a_wrong_method_names_the_right_ones() -> None:
    # Given a path that takes GET
    # When it is deleted
    answer = call("DELETE", "/health")
    # Then the answer says what it takes
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (
        405,
        "METHOD_NOT_ALLOWED",
        "GET, HEAD, OPTIONS",
    )


def test_a_bug_leaks_nothing_and_is_logged_once(monkeypatch: pytest.MonkeyPatch, log_output: io.StringIO) -> None:
    # Given a view with a bug
    def fail() -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("api.documents.page", fail)
    # When it is called
    answer = call("GET", "/docs")
    # Then the caller learns the request id and nothing else, and one log line has the traceback
    assert (answer.status, answer.json["code"]) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text
    assert REQUEST_ID in answer.json["detail"]
    lines = log_output.getvalue().splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert (line["level"], line["request_id"], line["status"]) == ("ERROR", REQUEST_ID, 500)
    assert "hunter2" in line["exception"]


def test_each_request_is_one_line_in_the_log(log_output: io.StringIO) -> None:
    # Given a request that succeeds and one that is refused
    # When both are answered
    call("GET", "/health")
    post("/api/users", "{")
    # Then each has one line with what an operator asks for, and no body
    first, second = (json.loads(line) for line in log_output.getvalue().splitlines())
    assert {"action", "request_id", "method", "route", "status", "ms"} <= first.keys()
    assert (first["route"], first["status"], second["route"], second["status"]) == ("/health", 200, "/api/users", 400)


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [(UnavailableError("the table is busy"), "UNAVAILABLE", "1"), (OutcomeUnknownError(), "OUTCOME_UNKNOWN", None)],
)
def test_only_what_changed_nothing_invites_a_retry(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, retry_after: str | None
) -> None:
    # Given a balance update whose write fails
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(balances, "change_balance", fail)
    # When it is asked for
    answer = post("/api/users/update-balance", {"userId": 1, "amount": 1})
    # Then it is a 503, and Retry-After only stands where a repeat is safe
    assert (answer.status, answer.json["code"], answer.headers.get("retry-after")) == (503, code, retry_after)
