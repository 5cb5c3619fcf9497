"""Batches under one Idempotency-Key at the same time, and the limit of an order key, on the deployed stack."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from leaseway_local.connection.api_client import ApiProblem
from support.deployed_stacks import DeployedStack, StackFactory
from support.job_items import read_job_items
from support.waiting import wait_until

AT_ONCE = 6
LIMIT = 20


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    return make_stack("keyed", OrderedJobs=LIMIT, LogLevel="WARNING")


def post_batch(stack: DeployedStack, jobs: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """The answer, once no job of it is left for a repeat."""

    def post_once() -> dict[str, Any] | None:
        headers = {"Idempotency-Key": key}
        response = stack.api.request("POST", "/api/v1/jobs/batch", json={"jobs": jobs}, headers=headers)
        assert response.status_code in (202, 503), response.text
        answer: dict[str, Any] = response.json()
        codes = {item["problem"]["code"] for item in answer.get("content", []) if item["problem"]}
        is_final = response.is_success and not codes & {"UNAVAILABLE", "OUTCOME_UNKNOWN"}
        return answer if is_final else None

    return wait_until(post_once, seconds=60, what="an answer without a failure")


def test_requests_at_a_time_under_one_key_create_each_job_once(stack: DeployedStack) -> None:
    # Given a batch of which every third job has one order, and one is refused
    jobs = [
        {"type": "SLEEP", "payload": {"duration_ms": number}, "tags": ["keyed"]}
        | ({"order_key": "keyed"} if number % 3 == 0 else {})
        for number in range(50)
    ]
    jobs[7]["type"] = "NO_SUCH"
    # When six clients send it at once under one key
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: post_batch(stack, jobs, "one"), range(AT_ONCE)))
    # Then all are answered alike, each job exists once, and each runs once
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["accepted"], answers[0]["refused"]) == (49, 1)
    ids = [item["job"]["id"] for item in answers[0]["content"] if item["job"]]

    def all_ended() -> list[dict[str, Any]] | None:
        items = read_job_items(stack.client, stack.outputs["JobsTable"], ids)
        return items if {item["status"] for item in items} == {"COMPLETED"} else None

    items = wait_until(all_ended, seconds=90, what="all COMPLETED")
    assert Counter(item["attempts"] for item in items) == {1: 49}
    tagged = stack.api.get("/api/v1/jobs", tag="keyed", size=100)["content"]
    assert sorted(job["id"] for job in tagged) == sorted(ids)


def test_clients_at_a_time_fill_an_order_key_to_its_limit_and_no_further(stack: DeployedStack) -> None:
    # Given jobs that no worker takes, of one order key
    job = {"type": "SLEEP", "payload": {"duration_ms": 50_000}, "order_key": "full", "ttl_ms": 60_000}

    def create(_: int) -> str | None:
        try:
            stack.api.post_once("/api/v1/jobs", job)
        except ApiProblem as problem:
            return problem.code
        return None

    # When clients create more than its limit
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = Counter(pool.map(create, range(LIMIT + 10)))
    # Then as many as the limit are created
    assert codes == {None: LIMIT, "ORDER_KEY_FULL": 10}
    # And once some are cancelled, there is room for as many
    waiting = stack.api.get("/api/v1/jobs", status="CREATED", size=100)["content"]
    of_key = [each["id"] for each in waiting if each.get("order_key") == "full"][:3]
    for job_id in of_key:
        stack.api.post(f"/api/v1/jobs/{job_id}/cancel", None)
    room = wait_until(lambda: create(0) is None, seconds=60, what="room for one", every=0.5)
    assert room
