"""Workers outside Lambda over HTTP: bodies, statuses, and what each caller may see."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from leaseway.jobs.types import LONGEST_EXTERNAL_TTL_MS
from leaseway.settings import settings
from support.api_gateway import ApiResponse, call, make_caller, post

pytestmark = pytest.mark.usefixtures("cloud")

CLAIM = "/api/v1/jobs/claim"
WORKER = {"caller": make_caller("build-7") | {"role": "Worker"}}
CLAIM_BODY = {"types": ["EXTERNAL"], "worker": "build-7"}


def new_job(**options: Any) -> str:
    body = {"type": "EXTERNAL", "payload": {"page": 7}, **options}
    return post("/api/v1/jobs", body, caller=make_caller("ann")).json["id"]


def step(name: str, job_id: str, body: dict[str, Any], **options: Any) -> ApiResponse:
    return post(f"/api/v1/jobs/{{id}}/{name}", body, path={"id": job_id}, **(options or WORKER))


def test_a_worker_gets_anothers_job_with_its_payload_and_ends_it() -> None:
    job_id = new_job(ttl_ms=LONGEST_EXTERNAL_TTL_MS)

    claim = post(CLAIM, CLAIM_BODY, **WORKER)

    assert (claim.status, claim.json["job"]["id"], claim.json["job"]["payload"]) == (200, job_id, {"page": 7})
    assert (claim.json["job"]["worker"], claim.json["fence"], claim.json["heartbeat_seconds"]) == (
        "build-7",
        1,
        10,
    )
    token = {"claim_token": claim.json["claim_token"]}
    beat = step("heartbeat", job_id, token | {"progress": 0.4, "progress_note": "page 5"})
    assert (beat.status, beat.json["status"], beat.json["cancelled"]) == (200, "RUNNING", False)
    assert beat.json["lease_until"] >= claim.json["lease_until"]
    end = step("complete", job_id, token | {"result": {"pages": 12}})
    assert (end.status, end.json) == (200, {"id": job_id, "status": "COMPLETED"})
    job = call("GET", "/api/v1/jobs/{id}", path={"id": job_id}, caller=make_caller("ann")).json
    assert (job["result"], job["progress"]) == ({"pages": 12}, 1)


def test_where_no_job_waits_the_answer_is_empty() -> None:
    nothing = post(CLAIM, CLAIM_BODY, **WORKER)
    assert (nothing.status, nothing.text) == (204, "")


def test_the_token_is_sent_to_the_claimer_alone() -> None:
    job_id = new_job()
    token = post(CLAIM, CLAIM_BODY, **WORKER).json["claim_token"]
    for caller in (make_caller("ann"), {**make_caller("root"), "role": "Admin"}):
        for route, path in (("/api/v1/jobs/{id}", {"id": job_id}), ("/api/v1/jobs", None)):
            assert token not in call("GET", route, path=path, caller=caller).text


def test_a_worker_reads_others_jobs_by_a_claim_and_in_no_other_way() -> None:
    job_id = new_job()
    for route in ("/api/v1/jobs/{id}", "/api/v1/jobs/{id}/result"):
        assert call("GET", route, path={"id": job_id}, **WORKER).status == 404
    assert step("cancel", job_id, {}).status == 404
    assert call("GET", "/api/v1/jobs", query={"owner": ["ann"]}, **WORKER).status == 403
    assert step("claim", job_id, {"worker": "build-7"}).status == 200


def test_a_user_claims_an_own_job_and_no_queue() -> None:
    job_id = new_job()
    assert post(CLAIM, CLAIM_BODY, caller=make_caller("ann")).status == 403
    assert step("claim", job_id, {"worker": "w"}, caller=make_caller("bob")).status == 404
    assert step("claim", job_id, {"worker": "w"}, caller=make_caller("ann")).status == 200
    again = step("claim", job_id, {"worker": "w"}, caller=make_caller("ann"))
    assert (again.status, again.json["code"]) == (409, "NOT_CLAIMABLE")


def test_a_claim_that_was_lost_is_a_conflict_that_names_the_state() -> None:
    job_id = new_job()
    token = {"claim_token": post(CLAIM, CLAIM_BODY, **WORKER).json["claim_token"]}
    assert step("fail", job_id, token | {"error": "no paper"}).json["status"] == "CREATED"
    late = step("complete", job_id, token | {"result": {}})
    assert (late.status, late.json["code"], late.json["job_status"]) == (409, "LEASE_LOST", "CREATED")
    assert step("heartbeat", job_id, token).status == 409


def test_a_claim_that_is_repeated_under_its_key_is_answered_alike_and_ends_with_its_job() -> None:
    job_id = new_job()
    key = {"headers": {"idempotency-key": "k1"}, **WORKER}
    first, again = post(CLAIM, CLAIM_BODY, **key), post(CLAIM, CLAIM_BODY | {"wait_seconds": 1}, **key)
    assert (first.status, again.status) == (200, 200)
    assert (again.json["job"]["id"], again.json["claim_token"]) == (job_id, first.json["claim_token"])
    assert step("complete", job_id, {"claim_token": first.json["claim_token"], "result": {}}).status == 200
    ended = post(CLAIM, CLAIM_BODY, **key)
    assert (ended.status, ended.json["code"]) == (409, "CLAIM_ENDED")


def test_a_claim_chooses_the_length_of_its_lease() -> None:
    new_job(ttl_ms=LONGEST_EXTERNAL_TTL_MS)
    claim = post(CLAIM, CLAIM_BODY | {"lease_seconds": 600}, **WORKER).json
    assert claim["heartbeat_seconds"] == 200
    lease = datetime.fromisoformat(claim["lease_until"]) - datetime.fromisoformat(claim["job"]["started_at"])
    assert lease == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("", CLAIM_BODY | {"types": []}, "types"),
        ("", CLAIM_BODY | {"types": ["SLEEP"]}, "types"),
        ("", CLAIM_BODY | {"types": ["NO_SUCH"]}, "type"),
        ("", CLAIM_BODY | {"wait_seconds": 11}, "wait_seconds"),
        ("", CLAIM_BODY | {"lease_seconds": 4}, "lease_seconds"),
        ("claim", {"worker": "w", "lease_seconds": 3_601}, "lease_seconds"),
        ("", CLAIM_BODY | {"worker": "two\nlines"}, "worker"),
        ("claim", {"worker": ""}, "worker"),
        ("heartbeat", {"claim_token": "t", "progress": 2}, "progress"),
        ("heartbeat", {"claim_token": "t", "progress_note": "a note without a number"}, "progress"),
        ("complete", {"claim_token": "t", "result": []}, "result"),
        ("complete", {"claim_token": ""}, "claim_token"),
        ("fail", {"claim_token": "t", "error": ""}, "error"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(name: str, body: dict[str, Any], field: str) -> None:
    answer = step(name, "0" * 32, body) if name else post(CLAIM, body, **WORKER)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_result_as_large_as_a_body_may_be_is_kept() -> None:
    job_id = new_job()
    token = {"claim_token": post(CLAIM, CLAIM_BODY, **WORKER).json["claim_token"]}
    large = {"text": "x" * (settings().body_limit - 200)}
    assert step("complete", job_id, token | {"result": large}).status == 200
    assert (
        call("GET", "/api/v1/jobs/{id}/result", path={"id": job_id}, caller=make_caller("ann")).json["result"] == large
    )
