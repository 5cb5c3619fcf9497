"""DELETE of a job over HTTP."""

from typing import Any

import pytest

from leaseway.jobs.run import claim, finish
from support.api_gateway import ApiResponse, call, make_caller, post
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")


def new_job(**options: Any) -> str:
    return post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}}, **options).json["id"]


def end_new_job(**options: Any) -> str:
    job_id = new_job(**options)
    outcome = claim.claim(job_id, "w1")
    assert isinstance(outcome, claim.Claimed)
    finish.complete(outcome.lease, {"slept_ms": 5})
    return job_id


def remove(job_id: str, **options: Any) -> ApiResponse:
    return call("DELETE", "/api/v1/jobs/{id}", path={"id": job_id}, **options)


def test_a_job_that_has_ended_is_removed_and_returned_once() -> None:
    job_id = end_new_job()

    first, second = remove(job_id), remove(job_id)

    assert (first.status, first.json["id"], first.json["result"]) == (200, job_id, {"slept_ms": 5})
    assert (second.status, second.json["code"]) == (404, "JOB_NOT_FOUND")
    assert call("GET", "/api/v1/jobs/{id}", path={"id": job_id}).status == 404


def test_a_live_job_is_not_removed() -> None:
    refused = remove(new_job())

    assert (refused.status, refused.json["code"]) == (409, "NOT_FINISHED")


def test_a_job_that_was_changed_since_is_not_removed() -> None:
    job_id = end_new_job()

    assert remove(job_id, headers={"If-Match": '"1"'}).status == 412
    assert remove(job_id, headers={"If-Match": '"3"'}).status == 200


def test_another_users_job_is_not_there_to_remove() -> None:
    job_id = end_new_job()

    assert remove(job_id, caller=make_caller("zoe")).status == 404
    assert call("GET", "/api/v1/jobs/{id}", path={"id": job_id}).status == 200


def test_a_removal_costs_one_read_and_the_entries_of_an_ended_job() -> None:
    job_id = end_new_job()
    with meter_calls() as meter:
        remove(job_id)
    assert (meter.write_units("jobs"), meter.read_units("jobs"), meter.count("dynamodb")) == (4, 1, 2)
