"""Hostile input gets a 4xx problem document and changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaseway import aws
from support.api_gateway import ApiResponse, call, encode_base64, post
from support.hostile_requests import TABLES, VICTIM, HostileRequest

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_hostile_input_is_refused_and_changes_nothing(
    table: Callable[[], Iterator[HostileRequest]], subtests: pytest.Subtests
) -> None:
    # Given an account
    post("/api/users", {"userId": VICTIM, "balance": 10})
    before = everything()
    for case in table():
        with subtests.test(case.name):
            # When a hostile request arrives
            answer = send(case)
            # Then it gets the problem document that names what is wrong
            assert (answer.status, answer.json["code"]) == (case.status, case.code), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json["status"] == case.status
            assert case.wrong is None or answer.json["field"] == case.wrong
            assert len(answer.text) < 2_000
    # And nothing has changed
    assert everything() == before


def test_a_body_that_is_not_base64_is_refused() -> None:
    # Given a gateway that hands bodies over in base64
    # When one is not
    answer = call("POST", "/api/users", body="%%%", encoded=True, headers={"content-type": "application/json"})
    # Then it is refused
    assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")


def test_a_body_in_base64_is_read_and_limited_like_any_other() -> None:
    # Given a gateway that hands bodies over in base64
    headers = {"content-type": "application/json; charset=utf-8"}
    # When a good one and one of 300 KiB arrive
    good = call("POST", "/api/users", body=encode_base64(b'{"userId": "b64"}'), encoded=True, headers=headers)
    large = call("POST", "/api/users", body=encode_base64(b" " * 300 * 1024), encoded=True, headers=headers)
    # Then the one is served and the other refused
    assert (good.status, large.status, large.json["code"]) == (201, 413, "BODY_TOO_LARGE")


def test_a_body_of_exactly_the_limit_is_read() -> None:
    # Given a body as large as a body may be
    body = '{"userId": "large"}'
    # When it arrives
    answer = post("/api/users", body + " " * (256 * 1024 - len(body)))
    # Then it is served
    assert answer.status == 201


def test_a_body_with_characters_outside_ascii_is_limited_by_its_bytes() -> None:
    # Given fewer characters than the limit has bytes, of three bytes each
    body = '{"userId": "x", "reference": "%s"}' % ("\u20ac" * 100_000)
    # When they arrive
    answer = post("/api/users/update-balance", body)
    # Then they are too many
    assert (answer.status, answer.json["code"]) == (413, "BODY_TOO_LARGE")


def send(case: HostileRequest) -> ApiResponse:
    headers = {"content-type": case.content_type} if case.content_type else {}
    query: dict[str, list[str]] = {}
    for name, value in case.query:
        query.setdefault(name, []).append(value)
    # The gateway hands a body over as text; what is not UTF-8 arrives as replacement characters.
    body = case.body.decode(errors="replace") if case.body is not None else None
    return call(case.method, case.route, path=case.path or None, query=query or None, body=body, headers=headers)


def everything() -> Any:
    tables = [aws.client("dynamodb").scan(TableName=name)["Items"] for name in ("accounts", "jobs", "totals")]
    return tables, aws.client("s3").list_objects_v2(Bucket="leaseway-bucket").get("Contents", [])
