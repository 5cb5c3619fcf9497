"""Priority, fairness, limits and order on the deployed stack."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.job_items import read_job_items, scan_jobs
from support.job_stream import Change, read_job_changes
from support.waiting import wait_until
from support.worker_processes import kill_worker

LEASE = 3
SLEEP_50 = {"type": "SLEEP", "payload": {"duration_ms": 50}}


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    """Few log lines and small batches: on one machine, what the flood takes of the CPUs is no matter of queues."""
    return make_stack(
        "queues", LeaseSeconds=LEASE, BackoffBaseMs=400, SweeperEnabled=False, LogLevel="WARNING", WorkerPoolSize=5
    )


def read(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def wait_for_completion(stack: DeployedStack, job_ids: Sequence[str], seconds: float = 120) -> list[dict[str, Any]]:
    """The stored jobs, once every one is COMPLETED."""

    def all_of_them() -> list[dict[str, Any]] | None:
        jobs = read_job_items(stack.client, stack.outputs["JobsTable"], job_ids)
        return jobs if {job["status"] for job in jobs} == {"COMPLETED"} else None

    return wait_until(all_of_them, seconds=seconds, what="all COMPLETED")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def depth(stack: DeployedStack, output: str) -> int:
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=["All"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def mapping_of(stack: DeployedStack, output: str) -> str:
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=["QueueArn"])
    mappings = stack.client("lambda").list_event_source_mappings(EventSourceArn=arn["Attributes"]["QueueArn"])
    return mappings["EventSourceMappings"][0]["UUID"]


@contextmanager
def no_workers(stack: DeployedStack, output: str) -> Iterator[None]:
    """A queue without its mapping: messages stay where they are."""
    client, mapping = stack.client("lambda"), mapping_of(stack, output)
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)


def test_a_flood_of_low_jobs_keeps_no_high_one_waiting(stack: DeployedStack, many: Callable[[int], int]) -> None:
    # Given two thousand low jobs, at which workers are busy
    with no_workers(stack, "LowQueueUrl"):
        low = stack.create_jobs([SLEEP_50 | {"priority": "low"}] * many(2_000))
        assert depth(stack, "LowQueueUrl") == many(2_000)
    wait_until(lambda: read(stack, low[0])["status"] != "CREATED", seconds=60, what="the flood")
    # When fifty high ones are created behind them
    high = wait_for_completion(stack, stack.create_jobs([SLEEP_50 | {"priority": "high"}] * many(50)))
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["LowQueueUrl"])
    # Then few low ones began before the last high one: in a queue that both share, it would be nearly all
    last = max(job["started_at"] for job in high)
    jobs = [job for job in scan_jobs(stack.client, stack.outputs["JobsTable"]) if job["id"] in set(low)]
    sooner = sum(job.get("started_at", last) < last for job in jobs)
    print(f"{sooner} of {len(low)} low jobs began before the last of {len(high)} high ones")
    assert sooner < len(low) / 2


@pytest.mark.only_on("ministack", because="LocalStack's mappings have one worker at a time, below any limit")
def test_of_a_limited_type_no_more_run_at_a_time_than_its_limit(stack: DeployedStack) -> None:
    audits = stack.create_jobs([{"type": "STORAGE_AUDIT", "payload": {"duration_ms": 700}}] * 8)

    jobs = wait_for_completion(stack, audits)

    assert {job["queue"] for job in jobs} == {"STORAGE_AUDIT"}
    spans = [(job["started_at"], job["finished_at"]) for job in jobs]
    at_a_time = [sum(start <= began < end for start, end in spans) for began, _ in spans]
    assert max(at_a_time) == 2


def test_jobs_of_one_key_start_one_by_one_as_created_across_a_crash_and_retries(stack: DeployedStack) -> None:
    # Given a long job whose worker will die, one that fails each of its attempts, and three that are quick
    no_picture = {"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1}
    kinds = [
        {"type": "SLEEP", "payload": {"duration_ms": 1_500}},
        {"type": "IMAGE_RESIZE", "payload": no_picture, "max_attempts": 3},
        *[SLEEP_50] * 3,
    ]
    ids = stack.create_jobs([kind | {"order_key": "orders/7"} for kind in kinds])
    # When the first worker is killed in the middle of its job
    running = wait_until(
        lambda: of_status(stack, ids[0], "RUNNING"), seconds=40, what="the first one RUNNING", every=0.05
    )
    kill_worker(running["worker"])
    jobs = [
        wait_until(lambda job_id=job_id: read_end(stack, job_id), seconds=60, what=f"{job_id}'s end") for job_id in ids
    ]
    # Then each ended before the next began, by its first attempt
    assert [job["status"] for job in jobs] == ["COMPLETED", "FAILED", *["COMPLETED"] * 3]
    assert (jobs[0]["crashes"], jobs[1]["attempts"]) == (1, 3)
    firsts = [first_claim(stack, job_id) for job_id in ids]
    ends = [moment(job["finished_at"]).timestamp() * 1000 for job in jobs]
    assert all(begun >= end for end, begun in zip(ends, firsts[1:], strict=False)), (ends, firsts)


def of_status(stack: DeployedStack, job_id: str, status: str) -> dict[str, Any] | None:
    job = read(stack, job_id)
    return job if job["status"] == status else None


def read_end(stack: DeployedStack, job_id: str) -> dict[str, Any] | None:
    job = read(stack, job_id)
    return job if job["status"] in ("COMPLETED", "FAILED", "CANCELLED") else None


def first_claim(stack: DeployedStack, job_id: str) -> Change:
    """When its first attempt began (ms), from the table's stream."""
    return next(
        change.new["started_at"]
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id and change.new["status"] == "RUNNING"
    )


def test_messages_say_whose_they_are(stack: DeployedStack) -> None:
    """SQS shares a queue out fairly among such groups; this engine keeps the attribute and no more."""
    with no_workers(stack, "LowQueueUrl"):
        job_id = stack.api.post("/api/v1/jobs", SLEEP_50 | {"priority": "low"})["id"]

        def message() -> list[dict[str, Any]] | None:
            answer = stack.client("sqs").receive_message(
                QueueUrl=stack.outputs["LowQueueUrl"], AttributeNames=["All"], VisibilityTimeout=0
            )
            return answer.get("Messages")

        (received,) = wait_until(message, seconds=60, what="the message")
    assert received["Attributes"]["MessageGroupId"] == read(stack, job_id)["owner"]
