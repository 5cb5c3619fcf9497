"""What integration tests watch from outside: conditions with a bound, the jobs table's stream, worker processes."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


def wait_until(condition: Callable[[], Value | None], *, seconds: float, what: str, every: float = 0.1) -> Value:
    """Return the first true value of `condition`; fail, naming `what` was awaited, once the bound has passed."""
    ends = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(every)
    return value


@dataclass(frozen=True)
class Change:
    """One record of the jobs table's stream: the item's attributes before and after (empty if there was none)."""

    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def ends_the_job(self) -> bool:
        return self.old.get("status") not in TERMINAL and self.new.get("status") in TERMINAL

    @property
    def begins_an_attempt(self) -> bool:
        return self.new.get("status") == "RUNNING" and self.old.get("fence") != self.new["fence"]

    @property
    def is_heartbeat(self) -> bool:
        return (
            self.old.get("status") == self.new.get("status") == "RUNNING"
            and self.old["fence"] == self.new["fence"]
            and self.new["lease_until"] > self.old["lease_until"]
        )


def read_job_changes(client: Callable[[str], Any], table: str) -> list[Change]:
    """Read every change that the table's stream still holds, oldest first within a shard."""
    arn = client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    streams = client("dynamodbstreams")
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    return [change for shard in shards for change in _read_shard(streams, arn, shard["ShardId"])]


def _read_shard(streams: Any, arn: str, shard: str) -> Iterator[Change]:
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    while iterator:
        page = streams.get_records(ShardIterator=iterator, Limit=1000)
        for record in page["Records"]:
            image = record["dynamodb"]
            yield Change(_plain(image.get("OldImage", {})), _plain(image.get("NewImage", {})))
        if not page["Records"]:
            return
        iterator = page.get("NextShardIterator")


def _plain(image: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        name: int(value) if kind == "N" else value
        for name, typed in image.items()
        for kind, value in [next(iter(typed.items()))]
    }


def assert_steady_heartbeats(of_job: Sequence[Change], *, lease_ms: int) -> None:
    """Each heartbeat came before the lease's end, and there is no more than one for each third of a lease, and one."""
    (begin,) = [change.new["started_at"] for change in of_job if change.begins_an_attempt]
    (end,) = [change.new["finished_at"] for change in of_job if change.ends_the_job]
    beats = [change.new["lease_until"] - lease_ms for change in of_job if change.is_heartbeat]
    gaps = [later - earlier for earlier, later in pairwise([begin, *beats, end])]
    assert max(gaps) < lease_ms, gaps
    assert len(beats) <= 3 * (end - begin) / lease_ms + 1, gaps


def read_job_item(client: Callable[[str], Any], table: str, job_id: str) -> dict[str, Any]:
    """Read a stored job consistently."""
    return _plain(client("dynamodb").get_item(TableName=table, Key={"id": {"S": job_id}}, ConsistentRead=True)["Item"])


def read_job_items(client: Callable[[str], Any], table: str, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Read up to 100 stored jobs in one consistent read; in no order."""
    keys = {"Keys": [{"id": {"S": job_id}} for job_id in job_ids], "ConsistentRead": True}
    return [_plain(item) for item in client("dynamodb").batch_get_item(RequestItems={table: keys})["Responses"][table]]


def scan_jobs(client: Callable[[str], Any], table: str) -> list[dict[str, Any]]:
    """Read every stored job consistently."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [_plain(item) for page in pages for item in page["Items"]]


def find_process(log_stream: str) -> int | None:
    """Find the process of the local Lambda environment with that log stream, which is a worker's name."""
    variable = f"AWS_LAMBDA_LOG_STREAM_NAME={log_stream}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if variable in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
            except OSError:
                continue  # it ended, or is another user's
    return None


def kill_worker(log_stream: str) -> None:
    """SIGKILL the worker of that name, as a machine that vanishes would."""
    process = find_process(log_stream)
    assert process is not None, f"no process is the worker {log_stream}"
    os.kill(process, signal.SIGKILL)


def read_log_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    """Read the function's log lines except its metrics, oldest first."""
    return [line for line in _json_lines(client, function) if "_aws" not in line]


def read_metric_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    """Read the function's embedded-metric lines, oldest first."""
    return [line for line in _json_lines(client, function) if "_aws" in line]


def _json_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
    lines = []
    for page in pages:
        for event in page["events"]:
            for text in event["message"].splitlines():
                if text.startswith("{"):
                    lines.append(json.loads(text))
    return lines


# Earlier names, until no branch uses them.
until = wait_until
changes = read_job_changes
job_item = read_job_item
job_items = read_job_items
log_lines = read_log_lines
metric_lines = read_metric_lines
