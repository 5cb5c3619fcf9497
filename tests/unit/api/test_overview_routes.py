"""What is there at a glance: counts, job types and links to what jobs stored."""

import pytest

from leaseway.counters import count
from leaseway.jobs.job import Job
from leaseway.jobs.run import claim, finish
from leaseway.jobs.run.claim import Claimed
from leaseway.tally.job_totals import Group
from support.api_gateway import ADMIN, ApiResponse, call, make_caller, post
from support.job_changes import make_job_change

pytestmark = pytest.mark.usefixtures("cloud")


def add_jobs(owner: str, status: str, type_name: str, times: int) -> None:
    group = Group(owner, status, type_name)
    count([make_job_change(f"{group}-{number}", None, group) for number in range(times)])


def complete_job_of(owner: str, result: dict[str, object]) -> Job:
    """A job of that owner, COMPLETED with that result."""
    created = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}}, caller=make_caller(owner)).json
    outcome = claim.claim(created["id"], worker="w")
    assert isinstance(outcome, Claimed)
    finish.complete(outcome.lease, result)
    return outcome.lease.job


def link_to(job: Job, caller: dict[str, str]) -> ApiResponse:
    return call("GET", "/api/v1/jobs/{id}/link", path={"id": job.id}, caller=caller)


def test_the_overview_counts_by_status_and_type_and_names_every_status() -> None:
    # Given jobs of two users
    add_jobs("ann", "COMPLETED", "SLEEP", 3)
    add_jobs("ann", "FAILED", "HTTP_GET", 2)
    add_jobs("ben", "FAILED", "SLEEP", 4)
    # When a User asks, and an Admin for everybody
    own = call("GET", "/api/v1/overview", caller=make_caller("ann")).json
    everybody = call("GET", "/api/v1/overview", query={"owner": ["*"]}).json
    # Then each sees what he may
    none = dict.fromkeys(("CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"), 0)
    assert (own["owner"], own["jobs"]) == ("ann", none | {"COMPLETED": 3, "FAILED": 2})
    assert own["types"] == [
        {"type": "HTTP_GET", "jobs": none | {"FAILED": 2}},
        {"type": "SLEEP", "jobs": none | {"COMPLETED": 3}},
    ]
    assert (everybody["owner"], everybody["jobs"]) == (None, none | {"COMPLETED": 3, "FAILED": 6})


def test_a_user_counts_no_other_users_jobs() -> None:
    answer = call("GET", "/api/v1/overview", query={"owner": ["*"]}, caller=make_caller("ann"))
    assert (answer.status, answer.json["code"]) == (403, "FORBIDDEN")


def test_job_types_come_with_the_schema_of_their_payload() -> None:
    # When the types are listed
    answer = call("GET", "/api/v1/job-types", caller=make_caller("ann")).json
    # Then each has what a form needs, and what may be said of any job is there once
    types = {kind["name"]: kind for kind in answer["content"]}
    assert list(types) == sorted(types)
    assert (types["PRIME_COUNT"]["ttl_ms"], types["SLEEP"]["ttl_ms"], types["SLEEP"]["max_attempts"]) == (
        180_000,
        60_000,
        3,
    )
    resize = types["IMAGE_RESIZE"]["payload"]["$defs"]
    assert resize["ResizePayload"]["required"] == ["source", "width", "height"]
    assert resize["Source"]["properties"]["key"]["anyOf"][0]["format"] == "upload"
    assert {"type", "payload", "ttl_ms"} <= answer["job"]["$defs"]["NewJob"]["properties"].keys()


def test_a_link_leads_to_the_object_that_the_result_names() -> None:
    # Given a job whose result names a picture of its owner's
    job = complete_job_of("ann", {"key": "owners/ann/jobs/1/image-1.png"})
    # When its owner and an Admin ask for a link
    for caller in (make_caller("ann"), ADMIN):
        answer = link_to(job, caller)
        # Then it is signed for that object, for a while
        assert "/owners/ann/jobs/1/image-1.png?" in answer.json["url"]
        assert "X-Amz-Signature=" in answer.json["url"]
        assert answer.json["expires_at"].endswith("Z")
    # And no other User learns that there is such a job
    assert (link_to(job, make_caller("ben")).status, link_to(job, make_caller("ben")).json["code"]) == (
        404,
        "JOB_NOT_FOUND",
    )


@pytest.mark.parametrize(
    "result", [{}, {"key": 7}, {"key": ""}, {"key": "owners/ben/uploads/1"}, {"key": "owners/ann/../ben/uploads/1"}]
)
def test_a_result_opens_nothing_of_another_owners(result: dict[str, object]) -> None:
    # Given a result that names no object, or one of another owner's
    job = complete_job_of("ann", result)
    # When a link is asked for, then there is none
    answer = link_to(job, make_caller("ann"))
    assert (answer.status, answer.json["code"]) == (404, "OBJECT_NOT_FOUND")
