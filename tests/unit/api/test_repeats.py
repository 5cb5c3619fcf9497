"""Idempotency-Keys over HTTP: equal JSON is one request, however it is written."""

from typing import Any

import pytest

from support.api_gateway import ApiResponse, call, post

pytestmark = pytest.mark.usefixtures("cloud")

JOBS, UPDATE, USERS, TRANSFERS = "/api/v1/jobs", "/api/users/update-balance", "/api/users", "/api/v1/transfers"
KEY = {"headers": {"Idempotency-Key": "k"}}


def job(payload: str, more: str = "") -> str:
    return f'{{"type": "EXTERNAL", "payload": {payload}{more}}}'


def keyed(route: str, body: Any) -> ApiResponse:
    return post(route, body, **KEY)


EQUAL = [
    ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
    ('{"a": {"x": 1, "y": [1, {"p": 1, "q": 2}]}}', '{"a": {"y": [1, {"q": 2, "p": 1}], "x": 1}}'),
    ('{"n": 18446744073709551616}', '{"n": 18446744073709551616}'),
    ('{"n": -99999999999999999999999999}', '{ "n" : -99999999999999999999999999 }'),
    ('{"n": 1}', '{"n": 1.0}'),
    ('{"n": 100}', '{"n": 1e2}'),
    ('{"n": 0}', '{"n": -0.0}'),
    ('{"n": 1e300}', '{"n": 10e299}'),
    ('{"n": 0.1}', '{"n": 0.10}'),
    ('{"s": "caf\\u00e9"}', '{"s": "caf\xe9"}'),
]


@pytest.mark.parametrize(("first", "again"), EQUAL)
def test_equal_payloads_are_one_request(first: str, again: str) -> None:
    answers = [keyed(JOBS, job(first)), keyed(JOBS, job(again))]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json["id"] == answers[1].json["id"]


DIFFERENT = [
    ('{"n": 18446744073709551616}', '{"n": 18446744073709551617}'),
    ('{"n": 1}', '{"n": true}'),
    ('{"n": 1}', '{"n": "1"}'),
    ('{"n": 0}', '{"n": false}'),
    ('{"n": null}', "{}"),
    ('{"l": [1, 2]}', '{"l": [2, 1]}'),
    ('{"n": 0.1}', '{"n": 0.2}'),
]


@pytest.mark.parametrize(("first", "other"), DIFFERENT)
def test_payloads_that_differ_are_two_requests(first: str, other: str) -> None:
    assert keyed(JOBS, job(first)).status == 202
    answer = keyed(JOBS, job(other))
    assert (answer.status, answer.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(
    ("route", "first", "again"),
    [
        (
            UPDATE,
            '{"userId": "ann", "amount": 1, "reference": "r"}',
            '{"reference": "r", "amount": 1, "userId": "ann"}',
        ),
        (UPDATE, '{"userId": "ann", "amount": 1}', '{"userId": "ann", "amount": "1.00"}'),
        (TRANSFERS, '{"from": "ann", "to": "ben", "amount": 1}', '{"amount": 1.0, "to": "ben", "from": "ann"}'),
        (USERS, '{"userId": "new", "balance": 5}', '{"balance": 5.00, "userId": "new"}'),
        (USERS, '{"userId": 7, "balance": 5}', '{"balance": 5, "userId": 7.0}'),
        (
            JOBS,
            job('{"a": 1, "b": 2}', ', "tags": ["x"]'),
            '{"tags": ["x"], "payload": {"b": 2, "a": 1}, "type": "EXTERNAL"}',
        ),
        (JOBS, job("{}", ', "ttl_ms": 1000'), job("{}", ', "ttl_ms": 1000.0')),
    ],
)
def test_every_keyed_route_answers_an_equal_body_as_the_first_time(route: str, first: str, again: str) -> None:
    for name in ("ann", "ben"):
        post(USERS, {"userId": name, "balance": 10})
    answers = [keyed(route, first), keyed(route, again)]
    assert answers[0].status < 300
    assert (answers[0].status, answers[0].json) == (answers[1].status, answers[1].json)


@pytest.mark.parametrize(
    "body",
    [
        job("{}"),
        job('{"n": 18446744073709551616}'),
        job("{}", ', "tags": ["x"]'),
        job("{}", ', "ttl_ms": 1000, "max_attempts": 2'),
        '{"type": "SLEEP", "payload": {"duration_ms": 1}, "order_key": "o"}',
        job('{"text": "%s"}' % ("x" * 100_000)),
    ],
)
def test_a_removed_job_is_not_made_again_by_its_key(body: str) -> None:
    # Given a keyed job that was cancelled and removed
    first = keyed(JOBS, body)
    path = {"id": first.json["id"]}
    call("POST", f"{JOBS}/{{id}}/cancel", path=path)
    assert call("DELETE", f"{JOBS}/{{id}}", path=path).status == 200
    # When the same request comes again under its key, and another one
    again = keyed(JOBS, body)
    other = keyed(JOBS, job('{"other": true}'))
    # Then it gets its first answer, the other is refused, and no job is there
    assert (again.status, again.json) == (first.status, first.json)
    assert other.status == 422
    assert call("GET", f"{JOBS}/{{id}}", path=path).status == 404
