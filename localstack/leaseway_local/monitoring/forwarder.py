"""Read the functions' metrics from their logs and put them into the local engine's CloudWatch.

AWS reads embedded-metric lines itself; local engines do not. Nor do they deliver them to the meter function, which
counts them for `GET /metrics`; see `meter_feed`. Each call is written to a journal before it is sent, with a number and
the position in the logs after it, and puts its number into the engine as a metric:

    forwarder killed after the journal's line   the engine lacks the number: sent again when the next one starts
    forwarder killed after the call             the engine has the number: not sent again
    engine killed                               it returns with an older number: later calls are sent again

The meter gets its lines before the number is sent, and recognises repeated lines. So nothing is counted twice, and only
what a function wrote in the second in which the engine died may be lost.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.monitoring import log_reader
from leaseway_local.monitoring.embedded_metrics import to_metric_data
from leaseway_local.monitoring.invocation_metrics import InvocationMetrics
from leaseway_local.monitoring.log_reader import Position
from leaseway_local.monitoring.log_tail import find_groups
from leaseway_local.monitoring.meter_feed import MeterFeed, select_subscribed
from leaseway_local.monitoring.metric_points import read_points
from leaseway_local.monitoring.queue_metrics import read_queue_data

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricDatumTypeDef, MetricTypeDef

NAMESPACE = "Leaseway"

CALL_NUMBER = "ForwardedCall"
"""The metric with the number of the last call that an engine has."""

STREAM_AGES = {"LedgerLag": "LedgerFunction", "TallyLag": "TallyFunction", "RetentionLag": "RetentionFunction"}
"""Lags that replace AWS/Lambda's IteratorAge, which engines do not publish, and their functions."""

GAUGE_SECONDS = 10.0
JOURNAL_MS = 3 * 3_600_000
"""How long a call stays in the journal, so that the dashboard's data survive a killed engine."""

_LARGEST_JOURNAL = 8_000_000  # bytes; beyond that, old calls are removed
_DAY = 86_400


@dataclass(frozen=True)
class ForwardedCall:
    """One call of PutMetricData, and the position in the logs after it."""

    number: int
    at: int
    """Milliseconds since the epoch."""
    since: int
    seen: Mapping[str, int]
    data: list[dict[str, Any]]
    lines: list[str] = field(default_factory=list)
    """Lines for the meter function."""


class Journal:
    """The calls of the last hours, in an append-only file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = list(self._read())
        self._write()  # drops a truncated last line, which the next would be appended to

    @property
    def last(self) -> ForwardedCall | None:
        """The newest call."""
        return self.calls[-1] if self.calls else None

    def append(self, call: ForwardedCall) -> None:
        """Append a call to the file."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(call), separators=(",", ":")) + "\n")
        self.calls.append(call)
        if self.path.stat().st_size > _LARGEST_JOURNAL:
            self._shorten(call.at - JOURNAL_MS)

    def _read(self) -> Iterator[ForwardedCall]:
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=ForwardedCall)
            except (ValueError, RecursionError):
                return  # a truncated call was never sent, and is the last

    def _shorten(self, oldest: int) -> None:
        recent = [call for call in self.calls if call.at >= oldest]
        # Only the newest position is used again.
        self.calls = [ForwardedCall(**{**asdict(call), "seen": {}}) for call in recent[:-1]] + recent[-1:]
        self._write()

    def _write(self) -> None:
        unfinished = self.path.with_suffix(".new")
        unfinished.write_text("".join(json.dumps(asdict(call), separators=(",", ":")) + "\n" for call in self.calls))
        unfinished.replace(self.path)


class Forwarder:
    """Forwards the metrics of one stack. The next step makes up for a failed one."""

    def __init__(self, clients: Clients, outputs: Outputs, journal: Path) -> None:
        self._clients = clients
        self._outputs = outputs
        self._cloudwatch = clients.get("cloudwatch")
        self._groups = find_groups(outputs, None).values()
        self._meter = MeterFeed(clients, outputs)
        functions = {group.rpartition("/")[2]: group for group in self._groups}
        self._invocations = InvocationMetrics(clients.get("logs"), self._cloudwatch, functions)
        self._journal = Journal(journal)
        self._caught_up = False
        self._gauges_due = 0.0
        last = self._journal.last
        self._position = Position(last.since, last.seen) if last else Position(_now() - JOURNAL_MS)
        self._number = last.number if last else 0

    def step(self) -> int:
        """Forward new metrics. Returns the number of lines. One call per log group, and one more if there are any.

        Raises:
            ClientError, BotoCoreError: the engine did not answer; the next step reads what it has.
            LocalCloudError: the meter failed; the next step repeats the delivery.
        """
        if not self._caught_up:
            self._catch_up()
        self._caught_up = False
        lines, position = log_reader.read(self._clients.get("logs"), self._groups, self._position, '"_aws"')
        self._forward(lines, position)
        if time.monotonic() >= self._gauges_due:
            self._put("AWS/SQS", read_queue_data(self._clients, self._outputs))
            self._put("AWS/Lambda", self._invocations.read_missing())
            self._gauges_due = time.monotonic() + GAUGE_SECONDS
        self._caught_up = True
        return len(lines)

    def _forward(self, lines: list[str], position: Position) -> None:
        data = to_metric_data(lines).get(NAMESPACE, [])
        if not data:
            self._position = position
            return
        metered = select_subscribed(lines) if self._meter.is_needed() else []
        self._number += 1
        call = ForwardedCall(self._number, _now(), position.since, position.seen, data, metered)
        self._journal.append(call)
        self._position = position  # the journal has the lines now, even if the call fails
        self._send(call)
        self._put("AWS/Lambda", list(self._stream_ages(data)))

    def _send(self, call: ForwardedCall) -> None:
        self._meter.deliver(call.number, call.lines)
        number = {
            "MetricName": CALL_NUMBER,
            "Dimensions": [{"Name": "service", "Value": self._outputs.stack}],
            "Timestamp": call.at // 1000,
            "Value": float(call.number),
        }
        self._put(NAMESPACE, [*call.data, number])

    def _put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        if data:
            self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=cast("list[MetricDatumTypeDef]", data))

    def _catch_up(self) -> None:
        """Send the journal's calls that the engine does not have."""
        newest = self._read_call_number()
        self._number = max(self._number, newest)
        for call in self._journal.calls:
            if call.number > newest and call.at >= _now() - JOURNAL_MS:
                self._send(call)

    def _read_call_number(self) -> int:
        """Read the number of the newest call that the engine has."""
        metric: MetricTypeDef = {
            "Namespace": NAMESPACE,
            "MetricName": CALL_NUMBER,
            "Dimensions": [{"Name": "service", "Value": self._outputs.stack}],
        }
        query: MetricDataQueryTypeDef = {
            "Id": "taken",
            "MetricStat": {"Metric": metric, "Period": _DAY, "Stat": "Maximum"},
        }
        now = datetime.now(UTC)
        points = read_points(self._cloudwatch, [query], now - timedelta(days=14), now + timedelta(days=1))
        return int(max((number for _, number in points[query["Id"]]), default=0))

    def _stream_ages(self, data: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for datum in data:
            if function := STREAM_AGES.get(datum["MetricName"]):
                dimensions = [{"Name": "FunctionName", "Value": self._outputs[function]}]
                yield {**datum, "MetricName": "IteratorAge", "Dimensions": dimensions}


def _now() -> int:
    return int(time.time() * 1000)
