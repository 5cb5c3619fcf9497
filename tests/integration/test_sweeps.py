"""Sweeps on the deployed stack: several at once, with their calls side by side, on jobs by the hundred.

No worker takes a job and no schedule interferes. Looks that would be due in minutes are moved into the past.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.job_items import read_job_item
from support.waiting import wait_until

SWEEPS = 5


@pytest.fixture(scope="module")
def idle(make_stack: StackFactory) -> DeployedStack:
    return make_stack(
        "sweeps", FirstLookSeconds=1, SweepItems=200, SweeperEnabled="false", WorkerEnabled="false"
    )  # fmt: skip


def depth(stack: DeployedStack) -> dict[str, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["JobsQueueUrl"], AttributeNames=names)
    return {name.removeprefix("ApproximateNumberOf"): int(answer["Attributes"][name]) for name in names}


def change_jobs(stack: DeployedStack, job_ids: list[str], **values: Any) -> None:
    """Write attributes of jobs past the API."""
    for job_id in job_ids:
        stack.client("dynamodb").update_item(
            TableName=stack.outputs["JobsTable"],
            Key={"id": {"S": job_id}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )


def looks_of(stack: DeployedStack, job_ids: list[str]) -> list[int]:
    """When the sweeper looks at the jobs next (ms)."""
    return [int(read_job_item(stack.client, stack.outputs["JobsTable"], job_id)["look_at"]) for job_id in job_ids]


def sweeps_at_once(stack: DeployedStack) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(SWEEPS) as pool:
        return list(pool.map(lambda _: stack.invoke("SweeperFunction"), range(SWEEPS)))


def test_delayed_jobs_are_sent_once_and_first_however_many_wait(
    idle: DeployedStack,
) -> None:
    # Given more jobs that wait than a sweep may move, some of them with an item that cannot be read
    waiting = idle.create_jobs([{"type": "SLEEP", "payload": {"duration_ms": 1}}] * 400)
    past = {"N": str(int(time.time() * 1000) - 60_000)}
    change_jobs(idle, waiting[:10], status={"S": "BLOCKED"}, look_at=past)
    # And delayed jobs whose look is due
    delayed = idle.create_jobs([{"type": "SLEEP", "payload": {"duration_ms": 1}, "delay_seconds": 1_000}] * 40)
    soon = {"N": str(int(time.time() * 1000) + 800_000)}
    change_jobs(idle, delayed, look_at=past, run_after=soon)
    wait_until(lambda: max(looks_of(idle, waiting[10:])) < time.time() * 1000, seconds=30, what="every look to be due")

    # When sweeps come at once, twice
    reports = sweeps_at_once(idle) + sweeps_at_once(idle)

    # Then each delayed job has one message, and no job that waits has a second one
    assert sum(report["resent"] for report in reports) == len(delayed)
    assert depth(idle) == {"Messages": len(waiting), "MessagesDelayed": len(delayed)}
    # And no job that waits was written to, except those set aside
    assert sum(report["moved"] for report in reports) == len(delayed)
    assert sum(report["set_aside"] for report in reports) == 10
    assert max(looks_of(idle, waiting[10:])) < time.time() * 1000
    change_jobs(idle, waiting[:10], status={"S": "CREATED"})
    idle.client("sqs").purge_queue(QueueUrl=idle.outputs["JobsQueueUrl"])


def test_a_queue_that_is_gone_stops_no_other(idle: DeployedStack) -> None:
    # Given a job of a queue that the deployment does not have, and a job that lost its message
    retired, lost = idle.create_jobs([{"type": "SLEEP", "payload": {"duration_ms": 1}}] * 2)
    idle.client("sqs").purge_queue(QueueUrl=idle.outputs["JobsQueueUrl"])
    past = {"N": str(int(time.time() * 1000) - 3_600_000)}
    change_jobs(idle, [retired, lost], look_at=past, updated_at=past)
    change_jobs(idle, [retired], queue={"S": "RETIRED"})

    # When a sweep comes
    report = idle.invoke("SweeperFunction")

    # Then the one is set aside, and the other sent
    assert report["set_aside"] == 1
    assert report["resent"] >= 1
    assert looks_of(idle, [retired])[0] > (time.time() + 3_000) * 1000
