"""Workers receive more of their queue while a long job runs: counted on the deployed stack."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.function_logs import read_log_lines
from support.job_items import read_job_items
from support.job_stream import read_job_changes
from support.waiting import wait_until
from support.worker_processes import kill_worker

LEASE = 4
WORKERS = 2
"""The least that Lambda admits."""


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    return make_stack("refill", LeaseSeconds=LEASE, WorkerConcurrency=WORKERS, LogFormat="json", SweeperEnabled="false")


def sleeps(count: int, duration_ms: int) -> list[dict[str, Any]]:
    return [{"type": "SLEEP", "payload": {"duration_ms": duration_ms}, "ttl_ms": 60_000}] * count


def read_stored(stack: DeployedStack, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    return read_job_items(stack.client, stack.outputs["JobsTable"], job_ids)


def all_completed(stack: DeployedStack, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    def read_completed() -> list[dict[str, Any]] | None:
        jobs = read_stored(stack, job_ids)
        return jobs if {job["status"] for job in jobs} == {"COMPLETED"} else None

    return wait_until(read_completed, seconds=120, what="all COMPLETED")


def invocations(stack: DeployedStack) -> int:
    lines = read_log_lines(stack.client, stack.outputs["WorkerFunction"])
    return sum(line.get("action") == "batch" for line in lines)


def messages_left(stack: DeployedStack) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["JobsQueueUrl"], AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


@contextmanager
def no_mapping(stack: DeployedStack) -> Iterator[None]:
    client, queue = stack.client("lambda"), stack.outputs["JobsQueueUrl"].rpartition("/")[2]
    mappings = client.list_event_source_mappings(FunctionName=stack.outputs["WorkerFunction"])["EventSourceMappings"]
    [mapping] = [each["UUID"] for each in mappings if each["EventSourceArn"].endswith(f":{queue}")]
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)


def test_short_jobs_end_while_every_worker_runs_a_long_one(stack: DeployedStack) -> None:
    # Given a long job and nine short ones for each worker, and eighty short ones behind them
    before = invocations(stack)
    with no_mapping(stack):
        long, short = [], []
        for _ in range(WORKERS):
            long += stack.create_jobs(sleeps(1, 15_000))
            short += stack.create_jobs(sleeps(9, 50))
        short += stack.create_jobs(sleeps(80, 50))

    # When the workers have run all short ones
    all_completed(stack, short)

    # Then no long one has ended, and no other invocation was needed
    assert {job["status"] for job in read_stored(stack, long)} == {"RUNNING"}
    ended = all_completed(stack, [*long, *short])
    wait_until(lambda: messages_left(stack) == 0, seconds=30, what="no message left")
    assert {job["attempts"] for job in ended} == {1}
    wait_until(lambda: invocations(stack) > before, seconds=30, what="the logs")
    assert 1 <= invocations(stack) - before <= WORKERS


def test_a_killed_workers_received_jobs_are_finished_by_others_once(stack: DeployedStack) -> None:
    # Given a worker that runs jobs that it was handed and others that it received itself
    with no_mapping(stack):
        job_ids = [*stack.create_jobs(sleeps(1, 6_000)), *stack.create_jobs(sleeps(9, 50))]
        job_ids += [each for _ in range(5) for each in stack.create_jobs(sleeps(10, 700))]
    wait_until(lambda: read_stored(stack, job_ids[10:11])[0]["status"] != "CREATED", seconds=60, what="a received job")
    [long] = read_stored(stack, job_ids[:1])

    # When it is killed
    kill_worker(long["worker"])

    # Then every job completes, by one worker each
    jobs = all_completed(stack, job_ids)
    ends = [
        change.new["id"] for change in read_job_changes(stack.client, stack.outputs["JobsTable"]) if change.ends_the_job
    ]
    assert sorted(each for each in ends if each in job_ids) == sorted(job_ids)
    assert max(job["crashes"] for job in jobs) >= 1
