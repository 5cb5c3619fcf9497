"""Progress, the history of attempts, tags, and changing many jobs at once, on the deployed stack."""

import secrets
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from leaseway_local.connection.api_client import ApiClient
from support.deployed_stacks import DeployedStack
from support.job_stream import read_job_changes
from support.waiting import wait_until

NO_PICTURE = {"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1}


@pytest.fixture
def tag() -> str:
    return f"t-{secrets.token_hex(6)}"


def create_job(api: ApiClient, **fields: Any) -> str:
    return api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 1}} | fields)["id"]


def reaches(api: ApiClient, job_id: str, status: str, seconds: float = 60) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        job = api.get(f"/api/v1/jobs/{job_id}")
        return job if job["status"] == status else None

    return wait_until(there, seconds=seconds, what=f"{job_id} {status}")


def test_progress_is_shown_while_a_job_runs_and_written_at_most_once_a_second(stack: DeployedStack) -> None:
    # Given a job of twenty steps in five seconds
    payload = {"below": 1_000, "duration_ms": 5_000}
    job_id = create_job(stack.api, type="PRIME_COUNT", payload=payload)
    # When it runs, then it reports progress
    seen = wait_until(
        lambda: (job := stack.api.get(f"/api/v1/jobs/{job_id}"))["progress"] is not None and job,
        seconds=60,
        what="progress",
    )
    assert 0 < seen["progress"] < 1
    assert seen["progress_note"].endswith("of 20")
    # And in the end it is all done
    ended = reaches(stack.api, job_id, "COMPLETED")
    assert (ended["progress"], ended["progress_note"]) == (1, "segment 20 of 20")
    # And what was written between its claim and its end grew, a write a second
    fractions = [
        change.new["progress"]
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id and change.old.get("status") == change.new["status"] == "RUNNING"
    ]
    started, finished = (datetime.fromisoformat(ended[name]) for name in ("started_at", "finished_at"))
    assert 2 <= len(fractions) <= (finished - started).total_seconds()
    assert all(earlier < later for earlier, later in pairwise(fractions))


def test_a_job_that_reports_nothing_is_written_three_times(stack: DeployedStack) -> None:
    job_id = create_job(stack.api, payload={"duration_ms": 1_500})
    reaches(stack.api, job_id, "COMPLETED")
    written = [
        change
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id
    ]
    assert len(written) == 3
    assert {"progress", "history", "tags"}.isdisjoint(written[-1].new)


def test_many_jobs_are_tried_again_by_tag_and_keep_the_history_of_their_attempts(
    stack: DeployedStack, tag: str
) -> None:
    # Given jobs that failed after two attempts
    failing = {"type": "IMAGE_RESIZE", "payload": NO_PICTURE, "max_attempts": 2, "tags": [tag]}
    ids = {create_job(stack.api, **failing) for _ in range(3)}
    for job_id in ids:
        assert [one["end"] for one in reaches(stack.api, job_id, "FAILED")["history"]] == ["ERROR", "ERROR"]
    # When all of the tag are tried again
    selection = {"tag": tag, "status": "FAILED"}
    dry = stack.api.post("/api/v1/jobs/retry", selection | {"dry_run": True})
    done = stack.api.post("/api/v1/jobs/retry", selection)
    # Then the dry run's report is what was done
    assert {one["id"] for one in dry["content"]} == {one["id"] for one in done["content"]} == ids
    assert (dry["changed"], done["changed"], done["refused"], done["cursor"]) == (0, 3, 0, None)
    # And each has a history of four attempts, with their workers, times and errors
    for job_id in ids:
        wait_until(lambda job_id=job_id: stack.api.get(f"/api/v1/jobs/{job_id}")["attempts"] == 4, seconds=60, what="4")
        job = reaches(stack.api, job_id, "FAILED")
        assert [one["number"] for one in job["history"]] == [1, 2, 3, 4]
        for attempt in job["history"]:
            assert attempt["worker"]
            assert attempt["error"]
            assert attempt["started_at"] <= attempt["ended_at"]


def test_a_users_jobs_are_found_by_tag_and_cancelled_a_hundred_at_a_time(stack: DeployedStack, tag: str) -> None:
    # Given a user with 120 jobs of a tag, and another user with one
    mine, theirs = (stack.as_user(f"tags-{secrets.token_hex(4)}") for _ in range(2))
    waiting = {"type": "SLEEP", "payload": {"duration_ms": 1}, "delay_seconds": 900, "tags": [tag, "bulk"]}
    created = [
        item["job"]["id"]
        for count in (100, 20)
        for item in mine.post("/api/v1/jobs/batch", {"jobs": [waiting] * count})["content"]
    ]
    other = theirs.post("/api/v1/jobs", waiting)["id"]
    # When the tag is searched, page by page
    page = mine.get("/api/v1/jobs", tag=tag, size=100)
    rest = mine.get("/api/v1/jobs", tag=tag, size=100, cursor=page["cursor"])
    # Then there are the user's own
    assert {job["id"] for job in page["content"] + rest["content"]} == set(created)
    assert rest["cursor"] is None
    assert theirs.get("/api/v1/jobs", tag=tag)["totalElements"] == 1
    # And they are cancelled in two parts
    first = mine.post("/api/v1/jobs/cancel", {"tag": tag})
    second = mine.post("/api/v1/jobs/cancel", {"tag": tag, "cursor": first["cursor"]})
    assert (first["changed"], second["changed"], second["cursor"]) == (100, 20, None)
    assert mine.post("/api/v1/jobs/cancel", {"tag": tag})["matched"] == 0
    # And no User cancels another's
    refused = mine.request("POST", "/api/v1/jobs/cancel", json={"tag": tag, "owner": "*"})
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert theirs.get(f"/api/v1/jobs/{other}")["status"] == "CREATED"
    # And an Admin cancels what is left of it, for all owners
    left = stack.api.post("/api/v1/jobs/cancel", {"tag": tag, "owner": "*", "status": "CREATED"})
    while left["cursor"] is not None:
        left = stack.api.post(
            "/api/v1/jobs/cancel", {"tag": tag, "owner": "*", "status": "CREATED", "cursor": left["cursor"]}
        )
    assert theirs.get(f"/api/v1/jobs/{other}")["status"] == "CANCELLED"


def test_the_routes_of_many_jobs_and_of_one_do_not_meet(stack: DeployedStack) -> None:
    for name in ("cancel", "retry"):
        assert stack.api.request("GET", f"/api/v1/jobs/{name}").status_code == 404
        assert stack.api.request("POST", f"/api/v1/jobs/{name}/{name}", json={}).status_code == 404
        assert stack.api.request("POST", f"/api/v1/jobs/{name}", json={}).status_code == 400
