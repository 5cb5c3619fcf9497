"""Jobs over HTTP: creation, reading, results, uploads."""

from typing import Any

import pytest

from leaseway.jobs.lease import Lease
from leaseway.jobs.run import claim, finish
from leaseway.jobs.run.claim import Claimed
from support.api_gateway import call, make_caller, post

pytestmark = pytest.mark.usefixtures("cloud")


def test_a_job_is_accepted_and_can_be_read() -> None:
    # Given a type and a payload that fits it
    # When a job is created
    created = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}, "ttl_ms": 1000, "max_attempts": 2})
    # Then it is accepted, and a read shows the same job
    assert created.status == 202
    job = created.json
    assert created.headers["location"] == f"jobs/{job['id']}"
    assert (job["status"], job["ttl_ms"], job["max_attempts"], job["result"]) == ("CREATED", 1000, 2, None)
    assert job["created_at"].endswith("Z")
    read = call("GET", "/api/v1/jobs/{id}", path={"id": job["id"]})
    assert (read.status, read.json) == (200, job)


def test_a_result_is_refused_before_the_end() -> None:
    # Given a job that no worker ran yet
    job = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}}).json
    # When its result is asked for
    answer = call("GET", "/api/v1/jobs/{id}/result", path={"id": job["id"]})
    # Then it is too early, and the problem has the status
    assert (answer.status, answer.json["code"], answer.json["job_status"]) == (409, "NOT_FINISHED", "CREATED")


def test_a_completed_job_has_its_result() -> None:
    # Given a job that a worker completed
    job = claim_new_job()
    finish.complete(job, {"slept_ms": 5})
    # When its result is asked for
    answer = call("GET", "/api/v1/jobs/{id}/result", path={"id": job.job.id})
    # Then it is there
    assert (answer.status, answer.json["status"]) == (200, "COMPLETED")
    assert (answer.json["result"], answer.json["error_message"]) == ({"slept_ms": 5}, None)


def test_a_failed_job_has_the_reason() -> None:
    # Given a job whose only attempt failed
    job = claim_new_job(max_attempts=1)
    finish.fail(job, "the moon was in the way")
    # When its result is asked for
    answer = call("GET", "/api/v1/jobs/{id}/result", path={"id": job.job.id})
    # Then the reason is there instead
    assert (answer.status, answer.json["status"], answer.json["result"]) == (200, "FAILED", None)
    assert answer.json["error_message"] == "the moon was in the way"


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "", "../../etc", 'a"b', "0" * 5000, "A" * 32])
@pytest.mark.parametrize("route", ["/api/v1/jobs/{id}", "/api/v1/jobs/{id}/result"])
def test_an_id_that_no_job_has_is_not_found(job_id: str, route: str) -> None:
    # Given no job
    # When any id is asked for
    answer = call("GET", route, path={"id": job_id})
    # Then there is none
    assert (answer.status, answer.json["code"]) == (404, "JOB_NOT_FOUND")


def test_an_upload_link_is_bound_to_type_and_size() -> None:
    # Given a picture of a known size
    # When leave to upload it is asked for
    answer = post("/api/v1/uploads", {"content_type": "image/jpeg", "size": 1234})
    # Then there is a form for exactly that, under the caller's prefix
    assert answer.status == 201
    assert answer.json["key"].startswith("owners/admin/uploads/")
    assert answer.json["fields"]["Content-Type"] == "image/jpeg"
    assert answer.json["expires_at"].endswith("Z")


def claim_new_job(**options: Any) -> Lease:
    created = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}, **options})
    outcome = claim.claim(created.json["id"], "worker-1")
    assert isinstance(outcome, Claimed)
    return outcome.lease


def test_a_list_is_paged_newest_first_and_a_cursor_leads_on() -> None:
    # Given five jobs
    created = [create_sleep() for _ in range(5)]
    # When they are listed two by two
    first = list_jobs(size="2")
    second = list_jobs(size="2", cursor=first["cursor"])
    third = list_jobs(size="2", cursor=second["cursor"])
    # Then every job comes once, the newest first, and the last page leads nowhere
    ids = [job["id"] for page in (first, second, third) for job in page["content"]]
    assert sorted(ids) == sorted(created)
    assert [job["created_at"] for job in first["content"]] == sorted(
        (job["created_at"] for job in first["content"]), reverse=True
    )
    assert (first["pageable"], third["cursor"]) == ({"pageNumber": 0, "pageSize": 2}, None)
    assert second["pageable"] == {"pageNumber": None, "pageSize": 2}


def test_a_page_by_number_has_the_number_of_pages() -> None:
    # Given three jobs
    for _ in range(3):
        create_sleep()
    # When the second page of two is asked for
    page = list_jobs(page="1", size="2")
    # Then it has the last one, and the totals count all
    assert len(page["content"]) == 1
    assert (page["pageable"]["pageNumber"], page["totalElements"], page["totalPages"]) == (1, 3, 2)


@pytest.mark.parametrize("status", ["COMPLETED", "FINISHED"])
def test_finished_is_another_word_for_completed(status: str) -> None:
    # Given a completed job and one that waits
    job = claim_new_job()
    finish.complete(job, {"slept_ms": 5})
    create_sleep()
    # When either word is the filter, for one's own list and for everybody's
    own, everybody = list_jobs(status=status), list_jobs(status=status, owner="*")
    # Then the completed job is there
    assert [each["id"] for each in own["content"]] == [each["id"] for each in everybody["content"]] == [job.job.id]
    assert own["content"][0]["result"] == {"slept_ms": 5}


def test_a_user_lists_own_jobs_only() -> None:
    # Given a job of another user, and a caller without the Admin role
    create_sleep()
    ann = make_caller("ann")
    # When that caller lists jobs, then everybody's, then another's
    own = call("GET", "/api/v1/jobs", caller=ann)
    others = [call("GET", "/api/v1/jobs", query={"owner": [owner]}, caller=ann) for owner in ("*", "admin")]
    # Then the own list is empty and the others are refused
    assert (own.status, own.json["content"], own.json["totalElements"]) == (200, [], 0)
    assert [(answer.status, answer.json["code"]) for answer in others] == [(403, "FORBIDDEN")] * 2


def create_sleep() -> str:
    return str(post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 5}}).json["id"])


def list_jobs(**query: str) -> Any:
    answer = call("GET", "/api/v1/jobs", query={name: [value] for name, value in query.items()} or None)
    assert answer.status == 200, answer.text
    return answer.json
