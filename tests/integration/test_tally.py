"""The tally on the deployed stack: its mapping, its transactions and its markers are the engine's own."""

from typing import Any

import pytest

from leaseway import aws
from leaseway.jobs.find.totals import count_jobs
from leaseway.settings import require_setting
from support.as_function import act_as_function
from support.call_meter import describe_table, units_of_change
from support.deployed_stacks import DeployedStack, StackFactory
from support.seed_jobs import make_job_item, put_jobs
from support.waiting import wait_until


@pytest.fixture(scope="module")
def counting(make_stack: StackFactory) -> DeployedStack:
    return make_stack("tally", SweeperEnabled=False)


def totals_of(stack: DeployedStack, owner: str) -> dict[str | None, int]:
    with act_as_function(stack):
        return {status: count_jobs(owner, status) for status in (None, "CREATED", "RUNNING", "COMPLETED")}


def eventually(stack: DeployedStack, owner: str, expected: dict[str | None, int]) -> None:
    wait_until(lambda: totals_of(stack, owner) == expected, seconds=60, what=f"totals {expected}", every=0.5)


def test_jobs_that_run_are_counted_where_they_end(counting: DeployedStack) -> None:
    ids = [
        counting.api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {"digits": 4}})["id"]
        for _ in range(12)
    ]
    assert len(set(ids)) == 12
    eventually(counting, "admin", {None: 12, "CREATED": 0, "RUNNING": 0, "COMPLETED": 12})


def test_deleted_jobs_are_counted_no_more(counting: DeployedStack) -> None:
    with act_as_function(counting):
        put_jobs([make_job_item(n, owner="leaver") for n in range(5)])
    eventually(counting, "leaver", {None: 5, "CREATED": 0, "RUNNING": 0, "COMPLETED": 5})
    with act_as_function(counting):
        for n in range(2):
            key = {"id": make_job_item(n, owner="leaver")["id"]}
            aws.client("dynamodb").delete_item(TableName=require_setting("jobs_table"), Key=key)
    eventually(counting, "leaver", {None: 3, "CREATED": 0, "RUNNING": 0, "COMPLETED": 3})


def test_a_batch_invoked_again_changes_nothing(counting: DeployedStack) -> None:
    # Given a batch that the function has counted, when it is delivered again, whole and then cut short, then the engine
    # refuses its marker and the totals stay
    def record(number: int) -> dict[str, Any]:
        image = make_job_item(number, owner="repeated")
        return {"eventID": f"repeated-{number}", "eventName": "INSERT", "dynamodb": {"NewImage": image}}

    batch = [record(n) for n in range(7)]
    expected = {None: 7, "CREATED": 0, "RUNNING": 0, "COMPLETED": 7}
    for delivery in (batch, batch, batch[:4], batch[4:]):
        counting.invoke("TallyFunction", {"Records": delivery})
        assert totals_of(counting, "repeated") == expected


def test_a_jobs_life_costs_eight_write_units_on_the_deployed_table(counting: DeployedStack) -> None:
    # Given a job that ran through the deployed functions, when its stream records are billed, then they are 3 writes
    # of 8 units, indexes included
    job_id = counting.api.post("/api/v1/jobs", {"type": "GENERATE_LOGIN", "payload": {"length": 8}})["id"]
    wait_until(
        lambda: counting.api.get(f"/api/v1/jobs/{job_id}")["status"] == "COMPLETED", seconds=60, what="the job's end"
    )
    table = describe_table(counting.client("dynamodb"), counting.outputs["JobsTable"])
    images = [images for images in images_of(counting) if images["Keys"]["id"]["S"] == job_id]
    charges = [
        charge for image in images for charge in units_of_change(image.get("OldImage"), image["NewImage"], table)
    ]
    assert len(images) == 3
    assert sum(charge.write_units for charge in charges) == 8


def images_of(stack: DeployedStack) -> Any:
    """Every record that the jobs table's stream holds, as DynamoDB spells them."""
    arn = stack.client("dynamodb").describe_table(TableName=stack.outputs["JobsTable"])["Table"]["LatestStreamArn"]
    streams = stack.client("dynamodbstreams")
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=1000)
            yield from (record["dynamodb"] for record in page["Records"])
            iterator = page.get("NextShardIterator") if page["Records"] else None
