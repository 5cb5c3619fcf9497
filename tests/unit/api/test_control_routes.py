"""Cancel, retry and delay over HTTP."""

from typing import Any

import pytest

from leaseway.jobs.run import claim, finish
from support.api_gateway import ApiResponse, call, post

pytestmark = pytest.mark.usefixtures("cloud")

CANCEL = "/api/v1/jobs/{id}/cancel"
RETRY = "/api/v1/jobs/{id}/retry"


def new_job(**options: Any) -> ApiResponse:
    return post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}, **options})


def control(route: str, job_id: str, **options: Any) -> ApiResponse:
    return call("POST", route, path={"id": job_id}, **options)


def test_a_job_is_cancelled_and_tried_again() -> None:
    created = new_job()
    cancelled = control(CANCEL, created.json["id"])
    assert (cancelled.status, cancelled.json["status"]) == (200, "CANCELLED")
    again = control(RETRY, created.json["id"])
    assert (again.status, again.json["status"]) == (202, "CREATED")
    assert again.headers["etag"] == '"3"'


def test_an_outdated_etag_changes_nothing() -> None:
    created = new_job()
    assert created.headers["etag"] == '"1"'
    outdated = control(CANCEL, created.json["id"], headers={"If-Match": '"7"'})
    assert (outdated.status, outdated.json["code"]) == (412, "VERSION_MOVED")
    assert control(CANCEL, created.json["id"], headers={"If-Match": "seven"}).status == 400
    assert control(CANCEL, created.json["id"], headers={"If-Match": '"1"'}).status == 200


def test_a_finished_job_is_neither_cancelled_nor_tried_again() -> None:
    created = new_job()
    outcome = claim.claim(created.json["id"], "w1")
    assert isinstance(outcome, claim.Claimed)
    finish.complete(outcome.lease, {})
    for route, code in ((CANCEL, "ALREADY_ENDED"), (RETRY, "NOT_RETRYABLE")):
        answer = control(route, created.json["id"])
        assert (answer.status, answer.json["code"], answer.json["job_status"]) == (409, code, "COMPLETED")


def test_a_job_may_name_its_moment() -> None:
    at = new_job(run_at="2999-01-01T00:00:00Z")
    assert (at.status, at.json["field"]) == (400, "run_at")
    assert new_job(run_at="2026-01-01T00:00:00").status == 400
    later = new_job(delay_seconds=60)
    assert later.status == 202
    assert later.json["run_after"] > later.json["created_at"]
