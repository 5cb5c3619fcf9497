"""Changes in the stream of the jobs table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from support.job_items import to_plain

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


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
            yield Change(to_plain(image.get("OldImage", {})), to_plain(image.get("NewImage", {})))
        if not page["Records"]:
            return
        iterator = page.get("NextShardIterator")


def assert_steady_heartbeats(of_job: Sequence[Change], *, lease_ms: int) -> None:
    """Each heartbeat came before the lease's end, and there is no more than one for each third of a lease, and one."""
    (begin,) = [change.new["started_at"] for change in of_job if change.begins_an_attempt]
    (end,) = [change.new["finished_at"] for change in of_job if change.ends_the_job]
    beats = [change.new["lease_until"] - lease_ms for change in of_job if change.is_heartbeat]
    gaps = [later - earlier for earlier, later in pairwise([begin, *beats, end])]
    assert max(gaps) < lease_ms, gaps
    assert len(beats) <= 3 * (end - begin) / lease_ms + 1, gaps
