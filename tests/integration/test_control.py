"""Cancel, retry and delay on the deployed stack."""

import secrets
from datetime import datetime
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.function_logs import read_log_lines
from support.job_stream import read_job_changes
from support.waiting import wait_until

LEASE = 3


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    return make_stack("control", LeaseSeconds=LEASE, LogFormat="json", SweeperEnabled=False)


def sleep(stack: DeployedStack, duration_ms: int, **options: Any) -> str:
    return stack.api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": duration_ms}, **options})["id"]


def read(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def reaches(stack: DeployedStack, job_id: str, status: str, seconds: float = 60) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        job = read(stack, job_id)
        return job if job["status"] == status else None

    return wait_until(there, seconds=seconds, what=f"{job_id} {status}")


def test_a_running_job_is_cancelled_through_a_heartbeat_and_its_result_refused(
    stack: DeployedStack,
) -> None:
    job_id = sleep(stack, 600_000, ttl_ms=700_000)
    reaches(stack, job_id, "RUNNING")

    assert stack.api.post(f"/api/v1/jobs/{job_id}/cancel", {})["status"] == "CANCELLED"

    def find_loss() -> dict[str, Any] | None:
        lines = read_log_lines(stack.client, stack.outputs["WorkerFunction"])
        losses = (line for line in lines if line.get("action") == "lease_lost" and line["job_id"] == job_id)
        return next(losses, None)

    loss = wait_until(find_loss, seconds=60, what="the executor's end")
    assert loss["duration_ms"] < 600_000, "it slept on"
    assert (read(stack, job_id)["status"], read(stack, job_id)["result"]) == ("CANCELLED", None)


def test_a_cancelled_job_is_tried_again_under_its_id_and_completes(stack: DeployedStack) -> None:
    job_id = sleep(stack, 200, delay_seconds=600)
    stack.api.post(f"/api/v1/jobs/{job_id}/cancel", {})

    again = stack.api.post(f"/api/v1/jobs/{job_id}/retry", {})

    assert (again["id"], again["status"]) == (job_id, "CREATED")
    assert reaches(stack, job_id, "COMPLETED")["result"]["slept_ms"] >= 200
    moves = [
        (change.old.get("status"), change.new["status"])
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id and change.old.get("status") != change.new["status"]
    ]
    assert moves == [(None, "CREATED"), ("CREATED", "CANCELLED"), ("CANCELLED", "CREATED"), ("CREATED", "RUNNING"),
                     ("RUNNING", "COMPLETED")]  # fmt: skip


def test_a_delayed_job_starts_no_sooner_than_it_may(stack: DeployedStack) -> None:
    job_id = sleep(stack, 1, delay_seconds=3)
    run_after = datetime.fromisoformat(read(stack, job_id)["run_after"])
    assert datetime.fromisoformat(reaches(stack, job_id, "COMPLETED")["started_at"]) >= run_after


def test_a_batch_of_a_hundred_runs_to_its_end(stack: DeployedStack) -> None:
    body = {"jobs": [{"type": "SLEEP", "payload": {"duration_ms": 1}}] * 99 + [{"type": "NO_SUCH", "payload": {}}]}

    answer = stack.api.post("/api/v1/jobs/batch", body)

    assert (answer["accepted"], answer["refused"]) == (99, 1)
    assert answer["content"][99]["problem"]["code"] == "UNKNOWN_JOB_TYPE"
    for outcome in answer["content"][:99]:
        reaches(stack, outcome["job"]["id"], "COMPLETED")


def test_ordered_jobs_that_are_retried_together_start_in_the_order_of_their_creation(stack: DeployedStack) -> None:
    # Given ordered jobs that were cancelled behind a long one, and whose messages are gone
    tag, order_key = f"tag-{secrets.token_hex(6)}", secrets.token_hex(6)
    long = sleep(stack, 50_000, ttl_ms=60_000, order_key=order_key)
    reaches(stack, long, "RUNNING")
    jobs = [sleep(stack, 1, order_key=order_key, tags=[tag]) for _ in range(6)]
    assert stack.api.post("/api/v1/jobs/cancel", {"tag": tag})["changed"] == 6
    stack.api.post(f"/api/v1/jobs/{long}/cancel", {})
    wait_until(lambda: count_messages(stack, "OrderedQueueUrl") == 0, seconds=90, what="an empty queue")
    # When they are retried in three parts
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        part = stack.api.post("/api/v1/jobs/retry", {"tag": tag, "limit": 2, **cursor})
        assert part["refused"] == 0
        cursor = {"cursor": part["cursor"]} if part["cursor"] else None
    # Then they start in the order in which they were created
    started = [reaches(stack, job_id, "COMPLETED", seconds=120)["started_at"] for job_id in jobs]
    assert started == sorted(started)


def count_messages(stack: DeployedStack, queue: str) -> int:
    """Messages of a queue, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[queue], AttributeNames=names)
    return sum(int(number) for number in answer["Attributes"].values())
