"""`leaseway node` on a deployed stack whose workers are off: real processes, really stopped and really killed."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.job_stream import TERMINAL, read_job_changes
from support.node_processes import WITHOUT_WORKERS, NodeProcess, run_nodes
from support.waiting import wait_until

LEASE = WITHOUT_WORKERS["LeaseSeconds"]


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    """No Lambda worker takes a job here: nodes do. Nor does the sweeper send one again."""
    return make_stack("nodes", **WITHOUT_WORKERS)


@pytest.fixture
def start(stack: DeployedStack, tmp_path: Path) -> Iterator[Any]:
    with run_nodes(stack, tmp_path) as start:
        yield start


def sleep(stack: DeployedStack, duration_ms: int, **options: Any) -> str:
    body = {"type": "SLEEP", "payload": {"duration_ms": duration_ms}, **options}
    return str(stack.api.post("/api/v1/jobs", body)["id"])


def read(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def in_status(stack: DeployedStack, job_id: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
    def read_in_status() -> dict[str, Any] | None:
        job = read(stack, job_id)
        return job if job["status"] in statuses else None

    return wait_until(read_in_status, seconds=seconds, what=f"{job_id} in {statuses}", every=0.05)


def count_messages(stack: DeployedStack, output: str = "JobsQueueUrl") -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=names)[
        "Attributes"
    ]
    return sum(int(counts[name]) for name in names)


def test_a_node_runs_jobs_of_all_queues_where_the_workers_are_off_and_deletes_their_messages(
    stack: DeployedStack, start: Callable[..., NodeProcess]
) -> None:
    node: NodeProcess = start("one", typed=True, concurrency=4, poll_seconds=1).wait_until_started()
    (began,) = node.find_actions("start")
    assert {"normal", "tasks", "MESSAGE"} <= set(began["queues"])

    jobs = [sleep(stack, 50) for _ in range(6)]
    message = stack.api.post("/api/v1/jobs", {"type": "MESSAGE", "payload": {"failure_percent": 0}})["id"]

    ended = [in_status(stack, job_id, *TERMINAL) for job_id in (*jobs, message)]
    assert {(job["status"], job["worker"], job["attempts"]) for job in ended} == {("COMPLETED", "one", 1)}
    wait_until(lambda: count_messages(stack) == 0, seconds=60, what="an empty queue")
    assert node.stop() == 0


def test_a_long_job_holds_up_no_free_slot(stack: DeployedStack, start: Callable[..., NodeProcess]) -> None:
    start("wide", concurrency=2, poll_seconds=1).wait_until_started()
    long = sleep(stack, 6_000)
    in_status(stack, long, "RUNNING")

    short = [in_status(stack, job_id, *TERMINAL) for job_id in [sleep(stack, 20) for _ in range(8)]]

    assert {job["status"] for job in short} == {"COMPLETED"}
    assert read(stack, long)["status"] == "RUNNING", "eight short jobs went by the long one"
    assert in_status(stack, long, *TERMINAL)["attempts"] == 1, "heartbeats kept it, over more than a lease"


def test_after_sigterm_what_runs_may_finish_and_nothing_new_begins(
    stack: DeployedStack, start: Callable[..., NodeProcess]
) -> None:
    node = start("drained", concurrency=1, poll_seconds=1, drain_seconds=20).wait_until_started()
    running = sleep(stack, 2_000)
    in_status(stack, running, "RUNNING")
    waiting = sleep(stack, 10)

    assert node.stop() == 0

    assert read(stack, running)["status"] == "COMPLETED"
    assert read(stack, waiting)["status"] == "CREATED"
    start("next", concurrency=1, poll_seconds=1)
    assert in_status(stack, waiting, *TERMINAL)["worker"] == "next"


def test_what_cannot_finish_in_the_bound_is_given_back_at_once_and_loses_no_attempt(
    stack: DeployedStack, start: Callable[..., NodeProcess]
) -> None:
    # Given a job with a single attempt, running on a node that may drain for a second
    stopped = start("stopped", concurrency=2, poll_seconds=1, drain_seconds=1).wait_until_started()
    job_id = sleep(stack, 4_000, max_attempts=1)
    in_status(stack, job_id, "RUNNING")
    # When that node is stopped
    assert stopped.stop() == 0
    # Then the job waits at once, and no end of its lease is waited for: a lease's end would have counted a crash
    assert read(stack, job_id)["status"] == "CREATED"
    assert stopped.find_actions("give_back")
    # And another runs it
    start("other", concurrency=2, poll_seconds=1).wait_until_started()
    job = in_status(stack, job_id, *TERMINAL)
    assert (job["status"], job["attempts"], job["crashes"]) == ("COMPLETED", 1, 0)
    assert [(each["worker"], each["end"]) for each in job["history"]] == [
        ("stopped", "RETURNED"),
        ("other", "COMPLETED"),
    ]


def test_a_second_sigterm_gives_back_without_waiting(stack: DeployedStack, start: Callable[..., NodeProcess]) -> None:
    node = start("hurried", concurrency=1, poll_seconds=1, drain_seconds=60).wait_until_started()
    job_id = sleep(stack, 30_000, ttl_ms=60_000)
    in_status(stack, job_id, "RUNNING")

    node.process.terminate()
    wait_until(lambda: not stack_polls(node), seconds=60, what="a node that drains")
    assert node.stop() == 0

    job = read(stack, job_id)
    assert (job["status"], job["attempts"]) == ("CREATED", 0)
    stack.api.post(f"/api/v1/jobs/{job_id}/cancel", {})


def stack_polls(node: NodeProcess) -> bool:
    return not node.find_actions("drain")


@pytest.mark.timeout(500)
def test_nodes_killed_at_random_twenty_times_lose_none_of_a_thousand_jobs_and_write_results_once(
    stack: DeployedStack, start: Callable[..., NodeProcess], many: Callable[[int], int]
) -> None:
    # Given a thousand jobs and four nodes
    body = {"type": "SLEEP", "payload": {"duration_ms": 100}, "max_attempts": 20}
    job_ids = set(stack.create_jobs([body] * many(1_000)))
    chance = random.Random(6)
    alive = [start(f"n{number}", concurrency=3, poll_seconds=1) for number in range(4)]
    for node in alive:
        node.wait_until_started()
    # When twenty of them are killed, one after another, each replaced by a fresh one
    for kill in range(many(20)):
        victim = chance.randrange(4)
        wait_until(lambda node=alive[victim]: node.find_actions("claim"), seconds=30, what="a node at work")
        alive[victim].kill()
        alive[victim] = start(f"k{kill}", concurrency=3, poll_seconds=1)
        time.sleep(chance.uniform(0.1, 0.5))

    # Then every job ends COMPLETED, and its result was written once
    def list_ended() -> set[str]:
        return {
            change.new["id"]
            for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
            if change.ends_the_job
        }

    # The stream takes long to read: look at the queue first.
    wait_until(lambda: count_messages(stack) == 0, seconds=240, what="an empty queue", every=0.5)
    wait_until(lambda: job_ids <= list_ended(), seconds=30, what="a thousand ended jobs", every=1)
    ends = Counter()
    statuses = Counter()
    crashes = 0
    for change in read_job_changes(stack.client, stack.outputs["JobsTable"]):
        if change.ends_the_job and change.new["id"] in job_ids:
            ends[change.new["id"]] += 1
            statuses[change.new["status"]] += 1
            crashes += change.new["crashes"]
    assert statuses == {"COMPLETED": many(1_000)}
    assert set(ends.values()) == {1}
    assert crashes >= many(10), "kills that hit nobody would prove nothing"
