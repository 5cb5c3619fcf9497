"""Leases on the deployed stack: workers are really killed, messages really lost, time really passes.

No sweeper runs on the stack of this module, and its queue hides a message for 900 s: within the bounds of these tests
a job comes back only because its worker hid the message no longer than the lease, and before it claimed the job.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.function_logs import read_log_lines
from support.job_items import read_job_item
from support.job_stream import Change, assert_steady_heartbeats, read_job_changes
from support.waiting import wait_until
from support.worker_processes import kill_worker

LEASE = 4
DEAD_LETTER_SECONDS = 1


@pytest.fixture(scope="module")
def silent_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def quick(make_stack: StackFactory, silent_port: int) -> DeployedStack:
    return make_stack(
        "leases",
        LeaseSeconds=LEASE,
        FirstLookSeconds=2,
        DeadLetterSeconds=DEAD_LETTER_SECONDS,
        BackoffBaseMs=400,
        WorkerConcurrency=10,
        HttpAllowedHosts=f"127.0.0.1:{silent_port}",
        SweeperEnabled="false",
    )


@pytest.fixture(scope="module")
def long_sleep(make_stack: StackFactory) -> tuple[DeployedStack, str]:
    """A SLEEP of 130 s on the default lease of 30 s, started first and judged last."""
    stack = make_stack("long", LogFormat="json")
    return stack, sleep(stack, 130_000, ttl_ms=200_000)


def sleep(stack: DeployedStack, duration_ms: int, **options: Any) -> str:
    body = {"type": "SLEEP", "payload": {"duration_ms": duration_ms}, **options}
    return stack.api.post("/api/v1/jobs", body)["id"]


def read(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def item(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return read_job_item(stack.client, stack.outputs["JobsTable"], job_id)


def wait_for_end(stack: DeployedStack, job_id: str, seconds: float = 120) -> dict[str, Any]:
    def read_end() -> dict[str, Any] | None:
        job = read(stack, job_id)
        return job if job["status"] in ("COMPLETED", "FAILED", "CANCELLED") else None

    return wait_until(read_end, seconds=seconds, what=f"the end of {job_id}")


def running(stack: DeployedStack, job_id: str, attempt: int = 1, seconds: float = 90) -> dict[str, Any]:
    def read_attempt() -> dict[str, Any] | None:
        job = read(stack, job_id)
        return job if job["status"] == "RUNNING" and job["attempts"] == attempt else None

    return wait_until(read_attempt, seconds=seconds, what=f"attempt {attempt} of {job_id}", every=0.05)


def transitions(stack: DeployedStack, job_id: str) -> list[Change]:
    return [
        change
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id
    ]


@contextmanager
def no_workers(stack: DeployedStack) -> Iterator[None]:
    """The jobs queue without its mapping: messages stay where they are."""
    client = stack.client("lambda")
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["JobsQueueUrl"], AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    mapping = client.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"][0]
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def depth(stack: DeployedStack, queue: str = "JobsQueueUrl") -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
             "ApproximateNumberOfMessagesDelayed"]  # fmt: skip
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[queue], AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture(scope="module", autouse=True)
def _start_the_long_one(long_sleep: tuple[DeployedStack, str]) -> None:
    """Started before the first test of this module, so that its 130 s pass during the others."""


def warm_up(stack: DeployedStack) -> None:
    """Two environments at work at once, so that a killed worker's successor does not start cold."""
    jobs = [sleep(stack, 1_500) for _ in range(20)]
    assert len({wait_for_end(stack, job_id)["worker"] for job_id in jobs}) > 1


@pytest.mark.only_on("ministack", because="LocalStack's mappings have one worker at a time: there is no other")
def test_a_killed_workers_job_is_taken_over_when_its_lease_has_ended_and_its_own_message_returns(
    quick: DeployedStack,
) -> None:
    warm_up(quick)
    job_id = sleep(quick, 1_000)
    victim = running(quick, job_id)["worker"]
    kill_worker(victim)

    job = wait_for_end(quick, job_id)

    assert (job["status"], job["crashes"], job["attempts"]) == ("COMPLETED", 1, 2)
    assert job["worker"] != victim
    _, takeover = [change for change in transitions(quick, job_id) if change.begins_an_attempt]
    assert takeover.new["started_at"] > takeover.old["lease_until"], "its first worker might still have been at work"


def test_a_takeover_has_the_whole_time_to_live(quick: DeployedStack) -> None:
    # Given a job that needs nearly all its time, and whose worker dies
    job_id = sleep(quick, 6_000, ttl_ms=8_000)
    kill_worker(running(quick, job_id)["worker"])

    # When its message comes back, which is after the deadline
    job = wait_for_end(quick, job_id)

    # Then the next attempt had time enough
    assert (job["status"], job["crashes"], job["attempts"]) == ("COMPLETED", 1, 2)
    [crashed, completed] = job["history"]
    assert crashed["ended_at"] < completed["started_at"]


def test_a_job_whose_worker_dies_in_the_last_lease_before_the_deadline_is_taken_over(quick: DeployedStack) -> None:
    # Given a job whose time to live ends with its first lease, and whose worker dies
    job_id = sleep(quick, 2_500, ttl_ms=1_000 * LEASE)
    kill_worker(running(quick, job_id)["worker"])

    job = wait_for_end(quick, job_id)

    # Then it was not cancelled for time that the worker did not use
    assert (job["status"], job["crashes"], job["attempts"]) == ("COMPLETED", 1, 2)


def test_a_batch_whose_worker_is_killed_ends_completed_with_that_one_crash(quick: DeployedStack) -> None:
    with no_workers(quick):
        job_ids = [sleep(quick, 2_000) for _ in range(10)]
    victims = {running(quick, job_id)["worker"] for job_id in job_ids}
    assert len(victims) == 1, "ten messages make one batch"
    kill_worker(victims.pop())

    jobs = [wait_for_end(quick, job_id) for job_id in job_ids]

    assert {job["status"] for job in jobs} == {"COMPLETED"}
    assert {job["crashes"] for job in jobs} == {1}
    for job_id in job_ids:
        assert sum(change.ends_the_job for change in transitions(quick, job_id)) == 1


def test_a_job_that_kills_its_worker_every_time_fails_at_its_third_crash(quick: DeployedStack) -> None:
    job_id = sleep(quick, 60_000, ttl_ms=600_000, max_attempts=10)
    for attempt in (1, 2, 3):
        kill_worker(running(quick, job_id, attempt)["worker"])

    job = wait_for_end(quick, job_id)

    assert (job["status"], job["crashes"], job["attempts"]) == ("FAILED", 3, 3)
    assert "died 3 times" in job["error_message"]


def test_a_job_whose_time_to_live_passes_is_cancelled_and_its_result_not_stored(quick: DeployedStack) -> None:
    job_id = sleep(quick, 30_000, ttl_ms=1_000)

    job = wait_for_end(quick, job_id)

    assert job["status"] == "CANCELLED"
    stored = item(quick, job_id)
    assert "result" not in stored
    assert "result_key" not in stored


def test_a_job_that_always_raises_fails_after_its_attempts_and_growing_waits(
    quick: DeployedStack, silent_port: int
) -> None:
    url = f"http://127.0.0.1:{silent_port}/"  # every attempt is a real refused connection
    body = {"type": "HTTP_GET", "payload": {"url": url}, "max_attempts": 3, "ttl_ms": 20_000}
    job_id = quick.api.post("/api/v1/jobs", body)["id"]

    job = wait_for_end(quick, job_id, seconds=90)

    assert (job["status"], job["attempts"]) == ("FAILED", 3)
    assert job["error_message"]
    waits = [
        change.new["run_after"] - change.new["updated_at"]
        for change in transitions(quick, job_id)
        if change.old.get("status") == "RUNNING" and change.new["status"] == "CREATED"
    ]
    assert len(waits) == 2
    assert waits[0] <= waits[1]


def test_a_job_whose_message_was_lost_is_sent_again_by_the_sweeper(quick: DeployedStack) -> None:
    sqs, queue = quick.client("sqs"), quick.outputs["JobsQueueUrl"]
    with no_workers(quick):
        job_id = sleep(quick, 10)

        def lose() -> bool:
            for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                if job_id in message["Body"]:
                    return True
            return False

        wait_until(lose, seconds=60, what="the message")
    assert read(quick, job_id)["status"] == "CREATED"

    def sweep_and_look() -> bool:
        quick.invoke("SweeperFunction", {})
        return read(quick, job_id)["status"] == "COMPLETED"

    wait_until(sweep_and_look, seconds=30, what="the sweeper's rescue", every=0.5)


def test_a_message_that_no_claim_settles_goes_through_the_dead_letter_queue_and_is_judged(quick: DeployedStack) -> None:
    sqs, queue = quick.client("sqs"), quick.outputs["JobsQueueUrl"]
    with no_workers(quick):
        job_id = sleep(quick, 10)
        neglected = item(quick, job_id)["created_at"] / 1000 + DEAD_LETTER_SECONDS
        wait_until(lambda: time.time() > neglected, seconds=10, what="the job to be neglected")
        received = 0
        while received < 21:
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, VisibilityTimeout=0)
            if not messages.get("Messages"):
                break  # after its twentieth receive the message is in the dead-letter queue
            received += 1
        assert received == 20
        job = wait_for_end(quick, job_id)

    assert job["status"] == "FAILED"
    assert "dead letter" in job["error_message"]
    assert item(quick, job_id)["dead_lettered_at"]


def test_a_message_that_is_no_jobs_is_dropped_by_the_judge(quick: DeployedStack) -> None:
    sqs = quick.client("sqs")
    sqs.send_message(QueueUrl=quick.outputs["DeadLetterQueueUrl"], MessageBody="nonsense")
    wait_until(lambda: depth(quick, "DeadLetterQueueUrl") == 0, seconds=60, what="an empty dead-letter queue")


def test_two_thousand_queued_jobs_without_a_worker_get_no_second_message_from_five_sweeps(
    make_stack: StackFactory, many: Callable[[int], int]
) -> None:
    stack = make_stack("idle", LeaseSeconds=LEASE, FirstLookSeconds=1, SweeperEnabled="false")
    with no_workers(stack):
        job_ids = stack.create_jobs([{"type": "SLEEP", "payload": {"duration_ms": 1}}] * many(2_000))
        assert depth(stack) == len(set(job_ids)) == many(2_000)

        looked = 0
        for _ in range(5):
            report = stack.invoke("SweeperFunction", {})
            looked += report["looked"]
            assert report["resent"] == 0
        assert looked >= many(2_000)
        assert depth(stack) == many(2_000)
        stack.client("sqs").purge_queue(QueueUrl=stack.outputs["JobsQueueUrl"])


def test_a_sleep_of_130_seconds_on_a_lease_of_30_is_delivered_once(long_sleep: tuple[DeployedStack, str]) -> None:
    stack, job_id = long_sleep

    job = wait_for_end(stack, job_id, seconds=200)

    assert (job["status"], job["attempts"], job["crashes"]) == ("COMPLETED", 1, 0)
    assert_steady_heartbeats(transitions(stack, job_id), lease_ms=30_000)
    lines = [
        line for line in read_log_lines(stack.client, stack.outputs["WorkerFunction"]) if line.get("job_id") == job_id
    ]
    deliveries = [line for line in lines if line.get("action") in ("claim", "wait", "drop")]
    assert len(deliveries) == 1
