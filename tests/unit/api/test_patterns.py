"""Patterns hold for the whole of a text, in every field, path and query parameter."""

import pytest

from support.api_gateway import call, post

pytestmark = pytest.mark.usefixtures("cloud")

JOBS = "/api/v1/jobs"
NEWLINES = ["\\n", "\\r\\n", "\\n\\n", "\\nx", "\\u2028\\n"]
SLEEP = '"type": "SLEEP", "payload": {"duration_ms": 5}'


@pytest.mark.parametrize("ending", NEWLINES)
@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        (JOBS, f'{{{SLEEP}, "order_key": "abcENDING"}}', "order_key"),
        (JOBS, f'{{{SLEEP}, "tags": ["abcENDING"]}}', "tags"),
        (JOBS, '{"type": "SLEEPENDING", "payload": {"duration_ms": 5}}', "type"),
        (f"{JOBS}/cancel", '{"tag": "abcENDING"}', "tag"),
        (f"{JOBS}/cancel", '{"status": "CREATEDENDING"}', "status"),
        (f"{JOBS}/cancel", '{"status": "CREATED", "owner": "annENDING"}', "owner"),
        (f"{JOBS}/claim", '{"types": ["EXTERNAL"], "worker": "wENDING"}', "worker"),
        (f"{JOBS}/claim", '{"types": ["EXTERNALENDING"], "worker": "w"}', "type"),
        ("/api/tasks", f'{{{SLEEP}, "name": "t", "cron": "0 0 * * *ENDING"}}', "cron"),
        ("/api/tasks", f'{{{SLEEP}, "name": "t", "every": "60sENDING"}}', "every"),
        ("/api/tasks", f'{{{SLEEP}, "name": "t", "cron": "0 0 * * *", "timezone": "UTCENDING"}}', "timezone"),
        ("/api/tasks", f'{{{SLEEP}, "name": "tENDING", "every": "60s"}}', "name"),
        ("/api/v1/uploads", '{"content_type": "image/pngENDING", "size": 1}', "content_type"),
        (f"{JOBS}/retry", '{"tag": "abcENDING"}', "tag"),
        ("/api/users", '{"userId": "abcENDING"}', "userId"),
        ("/api/users/update-balance", '{"userId": "abcENDING", "amount": 1}', "userId"),
        ("/api/v1/transfers", '{"from": "abcENDING", "to": "b", "amount": 1}', "from"),
        ("/auth/register", '{"username": "abcENDING", "password": "orbit-lantern-mosaic"}', "username"),
    ],
)
def test_a_body_with_a_newline_after_the_pattern_is_refused(route: str, body: str, field: str, ending: str) -> None:
    answer = post(route, body.replace("ENDING", ending))
    assert answer.status == 400
    assert answer.json["field"].startswith(field)


@pytest.mark.parametrize("value", ["abc\n", "abc\r\n", "abc\n\n", "\n", "a\nb"])
@pytest.mark.parametrize(
    ("route", "name"),
    [
        *((JOBS, name) for name in ("tag", "status", "size", "page", "owner", "ended_after")),
        ("/api/tasks/history", "status"),
        ("/api/v1/overview", "owner"),
    ],
)
def test_a_query_parameter_with_a_newline_is_refused(route: str, name: str, value: str) -> None:
    answer = call("GET", route, query={name: [value]})
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "INVALID_INPUT", name)


@pytest.mark.parametrize("owner", ["ann", "7", "a.b@c:d-e_f", "@generator"])
def test_every_owner_that_a_job_can_have_is_a_filter(owner: str) -> None:
    answer = call("GET", JOBS, query={"owner": [owner]})
    assert (answer.status, answer.json["content"]) == (200, [])


@pytest.mark.parametrize("owner", ["@", "@ann", "@generator\n", "generator@@\u00e9", "-a", "**", ""])
def test_an_owner_that_no_job_can_have_is_refused(owner: str) -> None:
    answer = call("GET", JOBS, query={"owner": [owner]})
    assert (answer.status, answer.json["field"]) == (400, "owner")


@pytest.mark.parametrize("ending", ["\n", "%0A", "%0a", "\r\n", "%0D%0A"])
@pytest.mark.parametrize(
    ("route", "name", "text"),
    [
        ("/api/v1/jobs/{id}", "id", "0" * 32),
        ("/api/v1/jobs/{id}/result", "id", "0" * 32),
        ("/api/tasks/{id}", "id", "0" * 32),
        ("/api/users/{userId}/balance", "userId", "ann"),
        ("/api/users/{userId}/ledger", "userId", "ann"),
    ],
)
def test_an_id_with_a_newline_is_none(route: str, name: str, text: str, ending: str) -> None:
    post("/api/users", {"userId": "ann"})
    answer = call("GET", route, path={name: text + ending})
    assert answer.status == (400 if name == "userId" else 404)


def test_job_types_and_openapi_name_patterns_that_javascript_reads() -> None:
    for document in ("/openapi.json", "/api/v1/job-types"):
        assert "\\\\Z" not in call("GET", document).text
