"""Idempotency-Keys over HTTP: equal JSON is one request, however it is written."""

from decimal import Decimal
from typing import Any

import pytest

from leaseway import aws
from support.api_gateway import ApiResponse, call, post
from support.fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("cloud")

JOBS, UPDATE, USERS, TRANSFERS = "/api/v1/jobs", "/api/users/update-balance", "/api/users", "/api/v1/transfers"
KEY = {"headers": {"Idempotency-Key": "k"}}


def job(payload: str, more: str = "") -> str:
    return f'{{"type": "EXTERNAL", "payload": {payload}{more}}}'


def post_with_key(route: str, body: Any) -> ApiResponse:
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
    ('{"n": 0.1}', '{"n": 1e-1}'),
    ('{"n": 1e23}', '{"n": 100000000000000000000000}'),
    ('{"n": 9007199254740993}', '{"n": 9007199254740993.0}'),
    ('{"n": 18446744073709551617}', '{"n": 18446744073709551617.0}'),
    ('{"n": 12345678901234567890123}', '{"n": 1.2345678901234567890123e22}'),
    ('{"n": -1e308}', '{"n": -%s}' % (10**308)),
    ('{"n": 1e-400}', '{"n": 0}'),
    ('{"n": 5e-324}', '{"n": 4.9e-324}'),
    ('{"": [1.0, {"": 2e0}]}', '{"": [1, {"": 2}]}'),
    ('{"\\u00e9": 1, "a": 2}', '{"a": 2.0, "\xe9": 1}'),
    ('{"s": "\\ud83d\\ude00\\/\\u2028"}', '{"s": "\U0001f600/\u2028"}'),
    ('{"s": "caf\\u00e9"}', '{"s": "caf\xe9"}'),
]


@pytest.mark.parametrize(("first", "again"), EQUAL)
def test_equal_payloads_are_one_request(first: str, again: str) -> None:
    answers = [post_with_key(JOBS, job(first)), post_with_key(JOBS, job(again))]
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
    ('{"n": 1e23}', '{"n": 99999999999999991611392}'),
    ('{"n": 9007199254740993}', '{"n": 9007199254740992.0}'),
    ('{"n": 1e308}', '{"n": 1.0000000000000002e308}'),
    ('{"s": "e\\u0301"}', '{"s": "\\u00e9"}'),
    ('{"s": "a"}', '{"s": "a\\u0000"}'),
    ('{"a": {"b": 1}}', '{"a.b": 1}'),
    ('{"a": []}', '{"a": {}}'),
]


@pytest.mark.parametrize(("first", "other"), DIFFERENT)
def test_payloads_that_differ_are_two_requests(first: str, other: str) -> None:
    assert post_with_key(JOBS, job(first)).status == 202
    answer = post_with_key(JOBS, job(other))
    assert (answer.status, answer.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e999999999999", "9e308", "1" * 5_000])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_a_number_that_no_reader_could_hold_is_refused(number: str, headers: dict[str, str]) -> None:
    alone = job(f'{{"n": [{number}]}}')
    for route, body in ((JOBS, alone), (f"{JOBS}/batch", f'{{"jobs": [{alone}]}}')):
        answer = post(route, body, headers=headers)
        assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")


def create_alone_and_in_a_batch(described: str) -> list[Any]:
    batch = post(f"{JOBS}/batch", f'{{"jobs": [{described}]}}')
    return [post(JOBS, described).json, batch.json["content"][0]["job"]]


@pytest.mark.parametrize(
    "number", ["1e23", "1e307", "9007199254740993.0", "18446744073709551617.0", "1.5", "-0.25e2", "1e300", "5e-324"]
)
def test_a_number_is_stored_as_it_was_sent(number: str) -> None:
    described = job(f'{{"n": {number}}}')
    created = [
        post(JOBS, described).json,
        post(f"{JOBS}/batch", f'{{"jobs": [{described}]}}').json["content"][0]["job"],
    ]
    read = [call("GET", f"{JOBS}/{{id}}", path={"id": one["id"]}).json for one in created]
    assert [Decimal(one["payload"]["n"]) for one in [*created, *read]] == [Decimal(number)] * 4


def test_numbers_are_stored_in_no_more_bytes_than_they_were_sent_in() -> None:
    numbers = ["1e307"] * 2_000
    for created in create_alone_and_in_a_batch(job(f'{{"n": [{", ".join(numbers)}]}}')):
        stored = aws.client("dynamodb").get_item(TableName="jobs", Key={"id": {"S": created["id"]}})["Item"]
        assert len(str(stored)) < 20 * len(numbers)


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
    answers = [post_with_key(route, first), post_with_key(route, again)]
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
    first = post_with_key(JOBS, body)
    path = {"id": first.json["id"]}
    call("POST", f"{JOBS}/{{id}}/cancel", path=path)
    assert call("DELETE", f"{JOBS}/{{id}}", path=path).status == 200
    # When the same request comes again under its key, and another one
    again = post_with_key(JOBS, body)
    other = post_with_key(JOBS, job('{"other": true}'))
    # Then it gets its first answer, the other is refused, and no job is there
    assert (again.status, again.json) == (first.status, first.json)
    assert other.status == 422
    assert call("GET", f"{JOBS}/{{id}}", path=path).status == 404


@pytest.mark.parametrize("hours", [0, 1, 12, 23, 23.99])
@pytest.mark.parametrize("more", ["", ', "delay_seconds": 3600', ', "retention_days": 1', ', "expires_after_ms": 1000'])
def test_the_key_of_a_removed_job_is_remembered_for_a_day(fake_clock: FakeClock, more: str, hours: float) -> None:
    # Given a keyed job that was cancelled and removed, hours ago
    body = job('{"n": 1e23}', more)
    first = post_with_key(JOBS, body)
    path = {"id": first.json["id"]}
    call("POST", f"{JOBS}/{{id}}/cancel", path=path)
    call("DELETE", f"{JOBS}/{{id}}", path=path)
    fake_clock.move(hours=hours)
    # When the request comes again
    again = post_with_key(JOBS, body)
    # Then it gets its first answer, and there is no job
    assert (again.status, again.json) == (202, first.json)
    assert call("GET", f"{JOBS}/{{id}}", path=path).status == 404


@pytest.mark.parametrize("hours", [24, 25, 100, 5_000])
def test_the_key_of_a_removed_job_is_free_after_a_day(fake_clock: FakeClock, hours: int) -> None:
    first = post_with_key(JOBS, job("{}"))
    path = {"id": first.json["id"]}
    call("POST", f"{JOBS}/{{id}}/cancel", path=path)
    call("DELETE", f"{JOBS}/{{id}}", path=path)
    fake_clock.move(hours=hours)
    again = post_with_key(JOBS, job('{"other": true}'))
    assert (again.status, again.json["payload"]) == (202, {"other": True})
    assert again.json["created_at"] > first.json["created_at"]


@pytest.mark.parametrize("removed", [[0], [1], [0, 2], [0, 1, 2], []])
def test_jobs_that_were_removed_from_a_keyed_batch_are_not_made_again(removed: list[int]) -> None:
    # Given a keyed batch, of which some jobs were removed
    tagged = job('{"n": 1.0}', ', "tags": ["x"]')
    batch = f'{{"jobs": [{job("{}")}, {tagged}, {{"type": "NOPE", "payload": {{}}}}, {job("{}")}]}}'
    first = post_with_key(f"{JOBS}/batch", batch)
    paths = [{"id": one["job"]["id"]} for one in first.json["content"] if one["job"] is not None]
    for place in removed:
        call("POST", f"{JOBS}/{{id}}/cancel", path=paths[place])
        assert call("DELETE", f"{JOBS}/{{id}}", path=paths[place]).status == 200
    # When the batch comes again
    again = post_with_key(f"{JOBS}/batch", batch)
    # Then it gets its first answer, and the removed jobs are not there
    assert (again.status, again.json) == (202, first.json)
    statuses = [call("GET", f"{JOBS}/{{id}}", path=path).status for path in paths]
    assert statuses == [404 if place in removed else 200 for place in range(len(paths))]


def test_a_run_that_was_removed_is_not_started_again_by_its_key() -> None:
    # Given a task, and a run of it by hand that was cancelled and removed
    task = post("/api/tasks", {"name": "t", "every": "5m", "type": "SLEEP", "payload": {"duration_ms": 5}}).json
    run = {"path": {"id": task["id"]}, **KEY}
    first = call("POST", "/api/tasks/{id}/run", **run)
    path = {"id": first.json["job_id"]}
    call("POST", f"{JOBS}/{{id}}/cancel", path=path)
    assert call("DELETE", f"{JOBS}/{{id}}", path=path).status == 200
    # When the request comes again
    again = call("POST", "/api/tasks/{id}/run", **run)
    # Then it gets its first answer, and there is no run
    assert (again.status, again.json) == (202, first.json)
    assert call("GET", f"{JOBS}/{{id}}", path=path).status == 404
