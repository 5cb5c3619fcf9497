"""The tally function: real stream records in, counters out."""

import importlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from leaseway import aws
from leaseway.jobs import JobStatus, create_job
from leaseway.jobs.find.totals import count_jobs
from leaseway.jobs.run import claim
from leaseway.settings import require_setting, settings
from leaseway.tally.changes import read_changes
from support.seed_jobs import make_job_item, put_jobs

pytestmark = pytest.mark.usefixtures("cloud")

TEMPLATE = Path(__file__).parents[3] / "template.yaml"


def tally(records: list[Any]) -> Any:
    return importlib.import_module("tally.app").handler({"Records": records}, None)


def stream() -> list[Any]:
    """Every record of the jobs table's stream, as a mapping would deliver them."""
    arn = aws.client("dynamodb").describe_table(TableName=require_setting("jobs_table"))["Table"]["LatestStreamArn"]
    streams = aws.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    return list(streams.get_records(ShardIterator=iterator)["Records"])


def test_a_job_is_counted_where_it_stands() -> None:
    # Given one job waiting and one claimed, when the stream is delivered, twice, then each counts once
    create_job("ann", "SLEEP", {"duration_ms": 1})
    running = create_job("ann", "SLEEP", {"duration_ms": 1})
    claim.claim(running.id, worker="w")
    assert tally(stream()) is None
    tally(stream())
    assert (count_jobs("ann"), count_jobs("ann", "CREATED"), count_jobs("ann", "RUNNING")) == (2, 1, 1)
    assert count_jobs("ann", "RUNNING", "SLEEP") == 1


def test_a_deleted_job_is_counted_no_more() -> None:
    put_jobs([make_job_item(1), make_job_item(2)])
    aws.client("dynamodb").delete_item(TableName=require_setting("jobs_table"), Key={"id": make_job_item(1)["id"]})
    tally(stream())
    assert (count_jobs("alice"), count_jobs()) == (1, 1)


def test_an_item_that_is_no_job_blocks_no_other() -> None:
    aws.client("dynamodb").put_item(TableName=require_setting("jobs_table"), Item={"id": {"S": "stray"}})
    put_jobs([make_job_item(1)])
    tally(stream())
    assert count_jobs() == 1


def test_what_cannot_be_counted_raises_so_that_the_whole_batch_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    put_jobs([make_job_item(1)])
    records = stream()
    with monkeypatch.context() as patched:
        patched.setenv("TOTALS_TABLE", "gone")
        settings.cache_clear()
        with pytest.raises(Exception, match=r"ResourceNotFound|not found"):
            tally(records)
    settings.cache_clear()
    tally(records)
    assert count_jobs() == 1


def image(status: JobStatus | None) -> dict[str, Any] | None:
    facts = {"owner": "a", "type": "SLEEP", "status": status.value} if status else None
    return {name: {"S": value} for name, value in facts.items()} if facts else None


def passes(record: Any, pattern: Any) -> bool:
    """Lambda's event filtering, as far as the template uses it."""
    if isinstance(pattern, dict):
        return all(name in record and passes(record[name], inner) for name, inner in pattern.items())
    return any(record not in rule["anything-but"] if isinstance(rule, dict) else record == rule for rule in pattern)


def patterns() -> list[Any]:
    class Loader(yaml.SafeLoader):
        """Reads past CloudFormation's tags."""

    Loader.add_multi_constructor("!", lambda loader, tag, node: None)
    template = yaml.load(TEMPLATE.read_text(), Loader)
    mapping = template["Resources"]["TallyFunction"]["Properties"]["Events"]["JobChanges"]["Properties"]
    return [json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"]]


def test_the_mapping_filters_out_nothing_that_counts() -> None:
    # Given every transition between two statuses, when the template's filter is asked, then what counts passes, and of
    # the rest only what a finished job does to itself
    filters = patterns()
    assert len(filters) <= 5, "Lambda's quota for a mapping"
    for before, after in product([None, *JobStatus], repeat=2):
        if before is after is None:
            continue
        name = "INSERT" if before is None else "REMOVE" if after is None else "MODIFY"
        images = {"OldImage": image(before), "NewImage": image(after)}
        present = {key: value for key, value in images.items() if value}
        record = {"eventID": "1", "eventName": name, "dynamodb": present}
        (change,) = read_changes([record])
        counts = bool(change.steps)
        passed = any(passes(record, pattern) for pattern in filters)
        assert passed or not counts, f"{before} -> {after} would not be counted"
        assert counts or not passed or before.is_terminal, f"{before} -> {after} invokes for nothing"
