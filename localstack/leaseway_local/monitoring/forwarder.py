"""The forwarder: reads the functions' metrics from their logs and puts them into the local engine's CloudWatch.

AWS reads embedded-metric lines itself; local engines do not. Nor does it deliver them to the meter function, which
counts them for `GET /metrics`: `meter_feed`. Each call is written to a journal before it is sent, with
the position in the logs after it and a number, and carries that number into the engine as a metric of its own:

    forwarder killed after the journal's line   the engine lacks the number: sent again when the next one starts
    forwarder killed after the call             the engine has the number: not sent again
    engine killed                               it is back with an older number: what came after is sent again

The meter gets its lines before the number is sent, and knows lines that it got before. So nothing is doubled, and what
may be lost is what a function wrote in the second its engine died in.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.monitoring import log_reader
from leaseway_local.monitoring.embedded_metrics import data_of
from leaseway_local.monitoring.invocation_metrics import Invocations
from leaseway_local.monitoring.log_reader import Position
from leaseway_local.monitoring.log_tail import groups
from leaseway_local.monitoring.meter_feed import MeterFeed, subscribed_lines
from leaseway_local.monitoring.queue_metrics import queue_data

NAMESPACE = "Leaseway"

CALL_NUMBER = "ForwardedCall"
"""The metric that tells which call an engine has taken."""

STREAM_AGES = {"LedgerLag": "LedgerFunction", "TallyLag": "TallyFunction"}
"""Lags that are AWS/Lambda's IteratorAge of a function, which engines do not have."""

GAUGE_SECONDS = 10.0
KEPT_MS = 3 * 3_600_000
"""So long a call stays in the journal: what the dashboard shows survives an engine that died."""

_LARGEST_JOURNAL = 8_000_000  # bytes; then what is too old is left out
_DAY = 86_400


@dataclass(frozen=True)
class Call:
    """One call of PutMetricData, and how far the logs are read with it."""

    number: int
    at: int
    """Milliseconds since the epoch."""
    since: int
    seen: Mapping[str, int]
    data: list[dict[str, Any]]
    lines: list[str] = field(default_factory=list)
    """What the meter function is to count."""


class Journal:
    """The calls of the last hours, in a file that is only appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = list(self._read())
        self._write()  # without a line that a death cut short, which the next one must not be joined to

    @property
    def last(self) -> Call | None:
        """The newest call."""
        return self.calls[-1] if self.calls else None

    def append(self, call: Call) -> None:
        """Keep a call; it is on its way to the disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(call), separators=(",", ":")) + "\n")
        self.calls.append(call)
        if self.path.stat().st_size > _LARGEST_JOURNAL:
            self._shorten(call.at - KEPT_MS)

    def _read(self) -> Iterator[Call]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines:
            try:
                yield Call(**json.loads(line))
            except (ValueError, TypeError):
                return  # this call was never sent, and none came after it

    def _shorten(self, oldest: int) -> None:
        recent = [call for call in self.calls if call.at >= oldest]
        # Positions of the past are of no use: only the newest is gone on from.
        self.calls = [Call(**{**asdict(call), "seen": {}}) for call in recent[:-1]] + recent[-1:]
        self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(json.dumps(asdict(call), separators=(",", ":")) + "\n" for call in self.calls))
        fresh.replace(self.path)


class Forwarder:
    """Forwards the metrics of one stack. A step that fails is made good by the next one that does not."""

    def __init__(self, clients: Clients, outputs: Outputs, journal: Path) -> None:
        self._clients = clients
        self._outputs = outputs
        self._cloudwatch = clients.get("cloudwatch")
        self._groups = groups(outputs, None).values()
        self._meter = MeterFeed(clients, outputs)
        functions = {group.rpartition("/")[2]: group for group in self._groups}
        self._invocations = Invocations(clients.get("logs"), self._cloudwatch, functions)
        self._journal = Journal(journal)
        self._caught_up = False
        self._gauges_due = 0.0
        last = self._journal.last
        self._position = Position(last.since, last.seen) if last else Position(_now() - KEPT_MS)
        self._number = last.number if last else 0

    def step(self) -> int:
        """Forward what is new; returns how many lines were. One call a log group, and one where there was something.

        Raises:
            ClientError, BotoCoreError: the engine did not answer; the next step asks it what it has.
            LocalCloudError: the meter failed; the next step gives it the same again.
        """
        if not self._caught_up:
            self._catch_up()
        self._caught_up = False
        lines, position = log_reader.read(self._clients.get("logs"), self._groups, self._position, '"_aws"')
        self._forward(lines, position)
        if time.monotonic() >= self._gauges_due:
            self._put("AWS/SQS", queue_data(self._clients, self._outputs))
            self._put("AWS/Lambda", self._invocations.data())
            self._gauges_due = time.monotonic() + GAUGE_SECONDS
        self._caught_up = True
        return len(lines)

    def _forward(self, lines: list[str], position: Position) -> None:
        data = data_of(lines).get(NAMESPACE, [])
        if not data:
            self._position = position
            return
        metered = subscribed_lines(lines) if self._meter.wanted() else []
        self._number += 1
        call = Call(self._number, _now(), position.since, position.seen, data, metered)
        self._journal.append(call)
        self._position = position  # from here on the journal has them, whatever becomes of the call
        self._send(call)
        self._put("AWS/Lambda", list(self._stream_ages(data)))

    def _send(self, call: Call) -> None:
        self._meter.give(call.number, call.lines)
        number = {
            "MetricName": CALL_NUMBER,
            "Dimensions": [{"Name": "service", "Value": self._outputs.stack}],
            "Timestamp": call.at // 1000,
            "Value": float(call.number),
        }
        self._put(NAMESPACE, [*call.data, number])

    def _put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        if data:
            self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)

    def _catch_up(self) -> None:
        """Send again what the engine does not have."""
        taken = self._taken()
        self._number = max(self._number, taken)
        for call in self._journal.calls:
            if call.number > taken and call.at >= _now() - KEPT_MS:
                self._send(call)

    def _taken(self) -> int:
        """The newest call that the engine has."""
        metric = {
            "Namespace": NAMESPACE,
            "MetricName": CALL_NUMBER,
            "Dimensions": [{"Name": "service", "Value": self._outputs.stack}],
        }
        query = {"Id": "taken", "MetricStat": {"Metric": metric, "Period": _DAY, "Stat": "Maximum"}}
        now = time.time()
        answer = self._cloudwatch.get_metric_data(
            MetricDataQueries=[query], StartTime=now - 14 * _DAY, EndTime=now + _DAY
        )
        return int(max(answer["MetricDataResults"][0]["Values"], default=0))

    def _stream_ages(self, data: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for datum in data:
            if function := STREAM_AGES.get(datum["MetricName"]):
                named = [{"Name": "FunctionName", "Value": self._outputs[function]}]
                yield {**datum, "MetricName": "IteratorAge", "Dimensions": named}


def _now() -> int:
    return int(time.time() * 1000)
