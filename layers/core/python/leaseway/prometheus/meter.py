"""The meter: metrics in log lines become stored counters, each line once.

Items of the totals table under the scope "meters", all of them counters that only grow, but for a function's memory:

    http|GET /health|2xx|3    requests by bucket of their duration, the sum in microseconds, changes of balances
    process|api|3             environments that began, CPU in microseconds
    memory|api                bytes as last reported, and when

The last number of a counter is one of four copies, chosen by the log stream: environments that report at once write to
different items. CloudWatch Logs may deliver lines again; `counters.count` knows them by their ids.
"""

import zlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from leaseway import aws
from leaseway.counters import CounterChange, Counters, CountReport, Steps, count
from leaseway.metrics import NAMESPACE
from leaseway.prometheus.families import BUCKETS
from leaseway.settings import require_setting

SCOPE = "meters"
BETWEEN = "|"
BUCKET = "le_"
"""What the name of a bucket's counter begins with; its upper bound follows."""
SUM = "us"
MEMORY = "memory"
PROCESS = "process"
HTTP = "http"

_COPIES = 4
_MB = 1024 * 1024

LogEvent = Mapping[str, Any]
"""A line as CloudWatch Logs delivers it: `id` and `message`."""


class Point(NamedTuple):
    """One value of a line, under one set of dimensions."""

    name: str
    by: Mapping[str, str]
    value: float
    at: int
    """Milliseconds since the epoch."""


def count_lines(stream: str, lines: Iterable[LogEvent]) -> CountReport:
    """Add the metrics in lines of one log stream to the stored counters; a line that was added before is skipped.

    A line that is not an embedded metric is ignored. A transaction per 100 lines: 2 write units for its marker and 2
    for each route and status in it; 1 unit for each function whose memory is reported.

    Raises:
        botocore.exceptions.ClientError: the table is busy after several tries, or refused; the lines may come again.
    """
    copy = str(zlib.crc32(stream.encode()) % _COPIES)
    batch = [(str(line["id"]), list(points(line["message"]))) for line in lines]
    report = count(CounterChange(line_id, _steps(of_line, copy)) for line_id, of_line in batch)
    for point in _last_memory(point for _, of_line in batch for point in of_line):
        _store_memory(point)
    return report


def points(line: str) -> Iterator[Point]:
    """The values in an embedded-metric line; none if it is not one of ours."""
    if '"_aws"' not in line:
        return
    try:
        values = msgspec.json.decode(line)
        at = values["_aws"]["Timestamp"]
        directives = [each for each in values["_aws"]["CloudWatchMetrics"] if each["Namespace"] == NAMESPACE]
    except (msgspec.DecodeError, TypeError, KeyError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            by = {name: values[name] for name in names if name != "service"}
            for metric in directive["Metrics"]:
                yield from (Point(metric["Name"], by, value, at) for value in values[metric["Name"]])


def bucket(seconds: float) -> str:
    """The name of the counter of the bucket that a duration falls into."""
    place = bisect_left(BUCKETS, seconds)
    return f"{BUCKET}{BUCKETS[place]}" if place < len(BUCKETS) else f"{BUCKET}inf"


def _steps(line: Sequence[Point], copy: str) -> Steps:
    """What one line adds to which counters."""
    steps: defaultdict[Counters, Counter[str]] = defaultdict(Counter)
    request = None
    for point in line:
        if point.name == "HttpDuration" and point.by:
            request = _counters(HTTP, point.by["route"], point.by["status"], copy)
            steps[request].update({bucket(point.value / 1000): 1, SUM: round(point.value * 1000)})
        elif point.name == "ColdStarts":
            steps[_counters(PROCESS, point.by["function"], copy)][point.name] += round(point.value)
        elif point.name == "CpuUsed":
            steps[_counters(PROCESS, point.by["function"], copy)][point.name] += round(point.value * 1000)
    if request:
        # With the request that made them: an item of their own would be another two write units.
        changes = {point.name: round(point.value) for point in line if point.name.startswith("BalanceUpdates")}
        steps[request].update(changes)
    return dict(steps)


def _counters(*names: str) -> Counters:
    return Counters(SCOPE, BETWEEN.join(names))


def _last_memory(reported: Iterable[Point]) -> Iterable[Point]:
    in_order = sorted((point for point in reported if point.name == "MemoryUsed"), key=lambda point: point.at)
    return {point.by["function"]: point for point in in_order}.values()


def _store_memory(point: Point) -> None:
    """Store the memory unless a later value is there: a late or repeated delivery changes nothing."""
    try:
        aws.client("dynamodb").update_item(
            TableName=require_setting("totals_table"),
            Key={"scope": {"S": SCOPE}, "shard": {"S": f"{MEMORY}{BETWEEN}{point.by['function']}"}},
            UpdateExpression="SET #bytes = :bytes, #at = :at",
            ConditionExpression="attribute_not_exists(#at) OR #at < :at",
            ExpressionAttributeNames={"#bytes": "bytes", "#at": "at"},
            ExpressionAttributeValues={":bytes": {"N": str(round(point.value * _MB))}, ":at": {"N": str(point.at)}},
        )
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
