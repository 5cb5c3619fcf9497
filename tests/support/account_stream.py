"""The accounts table's stream, read as its mapping would: records with images, oldest first within a shard."""

from collections.abc import Iterator
from typing import Any

from leaseway import aws

Record = dict[str, Any]


def read_stream_records(client: Any = None, streams: Any = None, table: str = "accounts") -> list[Record]:
    """Read every record that the stream holds, by default that of the unit tests' account in memory."""
    client, streams = client or aws.client("dynamodb"), streams or aws.client("dynamodbstreams")
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    return [record for shard in shards for record in _read_shard(streams, arn, shard["ShardId"])]


def _read_shard(streams: Any, arn: str, shard: str) -> Iterator[Record]:
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator = start["ShardIterator"]
    while iterator:
        page = streams.get_records(ShardIterator=iterator, Limit=1000)
        yield from map(_convert_time, page["Records"])
        if not page["Records"]:
            return
        iterator = page.get("NextShardIterator")


def _convert_time(record: Record) -> Record:
    """An event source mapping passes the time as a number."""
    moment = record["dynamodb"]["ApproximateCreationDateTime"]
    return record | {"dynamodb": record["dynamodb"] | {"ApproximateCreationDateTime": moment.timestamp()}}
