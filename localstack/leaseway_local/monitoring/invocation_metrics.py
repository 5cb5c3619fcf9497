"""The AWS/Lambda metrics of invocations that the local engine does not count: all but those by the Invoke API.

Invocations by the gateway, queues, streams and schedules appear only in the logs, as REPORT lines. The invocations that
the logs have and CloudWatch lacks are put there. This needs no state, so each is counted once whichever process dies.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leaseway_local.monitoring import log_reader
from leaseway_local.monitoring.embedded_metrics import Series, split_datums
from leaseway_local.monitoring.log_reader import Position
from leaseway_local.monitoring.metric_points import read_points

NAMESPACE = "AWS/Lambda"

WINDOW_MS = 15 * 60_000
"""The period in which the logs are compared with CloudWatch."""

_SETTLED_MS = 2_000  # the engine logs an invocation a moment before it counts it
_DURATION = re.compile(r"\bDuration: ([\d.]+) ms")
_FAILURE = "Traceback"


@dataclass(frozen=True)
class _Invocation:
    at: int
    """Milliseconds since the epoch."""
    milliseconds: float
    failed: bool


@dataclass
class _Log:
    group: str
    reported: Position
    failures: Position
    invocations: list[_Invocation] = field(default_factory=list)
    """All in the window, also those that have not settled."""
    failed: set[str] = field(default_factory=set)
    """Log streams with a traceback whose REPORT has not been read."""
    unsure: bool = True
    """Whether CloudWatch may lack some."""


class InvocationMetrics:
    """Finds the invocations of functions, each with its log group, that CloudWatch lacks."""

    def __init__(self, logs: Any, cloudwatch: Any, groups: Mapping[str, str]) -> None:
        self._clients = logs, cloudwatch
        start = Position(_now() - WINDOW_MS)
        self._logs = {function: _Log(group, start, start) for function, group in groups.items()}

    def read_missing(self) -> list[dict[str, Any]]:
        """Read Invocations, Duration, Errors and Throttles of the invocations that CloudWatch lacks, as MetricData.

        An error is an invocation that printed a traceback; a killed process is not counted. Two calls per function, and
        one more if any was invoked.
        """
        for log in self._logs.values():
            self._read(log)
        unsure = [function for function, log in self._logs.items() if log.unsure]
        data: list[dict[str, Any]] = []
        for function, counts in self._read_counts(unsure).items() if unsure else ():
            log = self._logs[function]
            settled = [one for one in log.invocations if one.at <= _now() - _SETTLED_MS]
            missing = _find_missing(settled, counts)
            # Check again until CloudWatch has them: the call that puts them may fail.
            log.unsure = bool(missing) or len(settled) < len(log.invocations)
            data += _to_metric_data(function, missing)
        return data

    def _read(self, log: _Log) -> None:
        logs, _ = self._clients
        events, log.reported = log_reader.read_events(logs, [log.group], log.reported, '"REPORT RequestId"')
        failures, log.failures = log_reader.read_events(logs, [log.group], log.failures, _FAILURE)
        # An invocation has a log stream to itself here.
        log.failed |= {event["logStreamName"] for event in failures if event["message"].startswith(_FAILURE)}
        log.invocations = [one for one in log.invocations if one.at > _now() - WINDOW_MS]
        for event in events:
            if match := _DURATION.search(event["message"]):
                failed = event["logStreamName"] in log.failed
                log.failed.discard(event["logStreamName"])
                log.invocations.append(_Invocation(event["timestamp"], float(match[1]), failed))
        log.unsure = log.unsure or bool(events)

    def _read_counts(self, functions: Iterable[str]) -> dict[str, Counter[int]]:
        """Read the invocations per second that CloudWatch has of each function."""
        _, cloudwatch = self._clients
        queries = {f"f{number}": function for number, function in enumerate(functions)}
        points = read_points(
            cloudwatch,
            [_duration_query(name, function) for name, function in queries.items()],
            (_now() - WINDOW_MS) // 1000,
            _now() // 1000 + 60,
        )
        return {
            function: Counter({second: int(count) for second, count in points[name]})
            for name, function in queries.items()
        }


def _duration_query(name: str, function: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    metric = {"Namespace": NAMESPACE, "MetricName": "Duration", "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": 1, "Stat": "SampleCount"}}


def _find_missing(invocations: Iterable[_Invocation], counts: Counter[int]) -> list[_Invocation]:
    """The invocations that CloudWatch has neither in their second nor in one of the next few."""
    left = list(invocations)
    for later in range(_SETTLED_MS // 1000 + 1):
        unmatched = []
        for one in left:
            second = one.at // 1000 + later
            if counts[second] > 0:
                counts[second] -= 1
            else:
                unmatched.append(one)
        left = unmatched
    return left


def _to_metric_data(function: str, invocations: Iterable[_Invocation]) -> Iterable[dict[str, Any]]:
    gathered: defaultdict[Series, Counter[float]] = defaultdict(Counter)
    for one in invocations:
        metrics = {"Invocations": 1, "Errors": int(one.failed), "Throttles": 0, "Duration": one.milliseconds}
        for name, value in metrics.items():
            unit = "Milliseconds" if name == "Duration" else "Count"
            gathered[Series(NAMESPACE, name, (("FunctionName", function),), unit, one.at // 1000)][value] += 1
    for series, counts in gathered.items():
        yield from split_datums(series, counts)


def _now() -> int:
    return int(time.time() * 1000)
