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
from leaseway.counters import Change, Counters, CountReport, Steps, count
from leaseway.metrics import NAMESPACE
from leaseway.prometheus.families import BUCKETS
from leaseway.settings import needed

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
    """One value that a line tells, under one set of dimensions."""

    name: str
    by: Mapping[str, str]
    value: float
    at: int
    """Milliseconds since the epoch."""


def count_lines(stream: str, lines: Iterable[LogEvent]) -> CountReport:
    """Add what lines of one log stream tell to the stored counters; a line that was added before is not added again.

    A line that is no embedded metric is left out. A transaction for every 100 lines: 2 write units for its marker and 2
    for each route and status in it; 1 unit for each function whose memory is told.

    Raises:
        botocore.exceptions.ClientError: the table is busy after several tries, or refused; the lines may come again.
    """
    copy = str(zlib.crc32(stream.encode()) % _COPIES)
    told = [(str(line["id"]), list(points(line["message"]))) for line in lines]
    report = count(Change(name, _steps(said, copy)) for name, said in told)
    for point in _last_memory(point for _, said in told for point in said):
        _keep_memory(point)
    return report


def points(line: str) -> Iterator[Point]:
    """What an embedded-metric line tells; nothing where it is none of ours."""
    if '"_aws"' not in line:
        return
    try:
        said = msgspec.json.decode(line)
        at = said["_aws"]["Timestamp"]
        directives = [each for each in said["_aws"]["CloudWatchMetrics"] if each["Namespace"] == NAMESPACE]
    except (msgspec.DecodeError, TypeError, KeyError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            by = {name: said[name] for name in names if name != "service"}
            for metric in directive["Metrics"]:
                yield from (Point(metric["Name"], by, value, at) for value in said[metric["Name"]])


def bucket(seconds: float) -> str:
    """The name of the counter of the bucket that a duration falls into."""
    place = bisect_left(BUCKETS, seconds)
    return f"{BUCKET}{BUCKETS[place]}" if place < len(BUCKETS) else f"{BUCKET}inf"


def _steps(said: Sequence[Point], copy: str) -> Steps:
    """What one line adds to which counters."""
    steps: defaultdict[Counters, Counter[str]] = defaultdict(Counter)
    request = None
    for point in said:
        if point.name == "HttpDuration" and point.by:
            request = _counters(HTTP, point.by["route"], point.by["status"], copy)
            steps[request].update({bucket(point.value / 1000): 1, SUM: round(point.value * 1000)})
        elif point.name == "ColdStarts":
            steps[_counters(PROCESS, point.by["function"], copy)][point.name] += round(point.value)
        elif point.name == "CpuUsed":
            steps[_counters(PROCESS, point.by["function"], copy)][point.name] += round(point.value * 1000)
    if request:
        # With the request that made them: an item of their own would be another two write units.
        changes = {point.name: round(point.value) for point in said if point.name.startswith("BalanceUpdates")}
        steps[request].update(changes)
    return dict(steps)


def _counters(*names: str) -> Counters:
    return Counters(SCOPE, BETWEEN.join(names))


def _last_memory(said: Iterable[Point]) -> Iterable[Point]:
    told = sorted((point for point in said if point.name == "MemoryUsed"), key=lambda point: point.at)
    return {point.by["function"]: point for point in told}.values()


def _keep_memory(told: Point) -> None:
    """Only forward in time: a delivery that comes late or again changes nothing."""
    try:
        aws.client("dynamodb").update_item(
            TableName=needed("totals_table"),
            Key={"scope": {"S": SCOPE}, "shard": {"S": f"{MEMORY}{BETWEEN}{told.by['function']}"}},
            UpdateExpression="SET #bytes = :bytes, #at = :at",
            ConditionExpression="attribute_not_exists(#at) OR #at < :at",
            ExpressionAttributeNames={"#bytes": "bytes", "#at": "at"},
            ExpressionAttributeValues={":bytes": {"N": str(round(told.value * _MB))}, ":at": {"N": str(told.at)}},
        )
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
