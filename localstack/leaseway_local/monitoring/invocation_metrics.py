"""AWS/Lambda, where the local engine does not tell it: it counts what was asked of the Invoke API and nothing else.

Invocations by the gateway, queues, streams and schedules are in the logs only, as REPORT lines. What the logs have more
than CloudWatch is put there. Nothing is kept for that, so whatever died meanwhile, an invocation is told once.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leaseway_local.monitoring import log_reader
from leaseway_local.monitoring.embedded_metrics import Series, datums
from leaseway_local.monitoring.log_reader import Position

NAMESPACE = "AWS/Lambda"

WINDOW_MS = 15 * 60_000
"""So far back the logs are compared with CloudWatch."""

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
    """Of the window, those that have not settled too."""
    failed: set[str] = field(default_factory=set)
    """Log streams with a traceback, whose REPORT is not read yet."""
    unsure: bool = True
    """Whether CloudWatch may lack some."""


class Invocations:
    """What is to be told of the invocations of some functions, each with its log group."""

    def __init__(self, logs: Any, cloudwatch: Any, groups: Mapping[str, str]) -> None:
        self._clients = logs, cloudwatch
        start = Position(_now() - WINDOW_MS)
        self._logs = {function: _Log(group, start, start) for function, group in groups.items()}

    def data(self) -> list[dict[str, Any]]:
        """MetricData to put: Invocations, Duration, Errors and Throttles of what CloudWatch lacks.

        An error is an invocation that printed a traceback; one whose process was killed counts as none. Two calls a
        function, and one where there was something.
        """
        for log in self._logs.values():
            self._read(log)
        unsure = [function for function, log in self._logs.items() if log.unsure]
        found: list[dict[str, Any]] = []
        for function, told in self._told(unsure).items() if unsure else ():
            log = self._logs[function]
            settled = [one for one in log.invocations if one.at <= _now() - _SETTLED_MS]
            lacking = _lacking(settled, told)
            # Looked at again until CloudWatch has them: the call that puts them may fail.
            log.unsure = bool(lacking) or len(settled) < len(log.invocations)
            found += _data(function, lacking)
        return found

    def _read(self, log: _Log) -> None:
        logs, _ = self._clients
        events, log.reported = log_reader.fresh_events(logs, [log.group], log.reported, '"REPORT RequestId"')
        failures, log.failures = log_reader.fresh_events(logs, [log.group], log.failures, _FAILURE)
        # An invocation has a log stream to itself here.
        log.failed |= {event["logStreamName"] for event in failures if event["message"].startswith(_FAILURE)}
        log.invocations = [one for one in log.invocations if one.at > _now() - WINDOW_MS]
        for event in events:
            if found := _DURATION.search(event["message"]):
                failed = event["logStreamName"] in log.failed
                log.failed.discard(event["logStreamName"])
                log.invocations.append(_Invocation(event["timestamp"], float(found[1]), failed))
        log.unsure = log.unsure or bool(events)

    def _told(self, functions: Iterable[str]) -> dict[str, Counter[int]]:
        """How many invocations of each function CloudWatch knows, by second."""
        _, cloudwatch = self._clients
        queries = {f"f{number}": function for number, function in enumerate(functions)}
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[_durations(name, function) for name, function in queries.items()],
            StartTime=(_now() - WINDOW_MS) // 1000,
            EndTime=_now() // 1000 + 60,
        )
        return {queries[found["Id"]]: _by_second(found) for found in answer["MetricDataResults"]}


def _by_second(found: Mapping[str, Any]) -> Counter[int]:
    pairs = zip(found["Timestamps"], found["Values"], strict=True)
    return Counter({int(at.timestamp()): int(count) for at, count in pairs})


def _durations(name: str, function: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    metric = {"Namespace": NAMESPACE, "MetricName": "Duration", "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": 1, "Stat": "SampleCount"}}


def _lacking(invocations: Iterable[_Invocation], told: Counter[int]) -> list[_Invocation]:
    """Those that no count of CloudWatch can stand for: it has them in their second, or a little later."""
    left = list(invocations)
    for later in range(_SETTLED_MS // 1000 + 1):
        unmatched = []
        for one in left:
            second = one.at // 1000 + later
            if told[second] > 0:
                told[second] -= 1
            else:
                unmatched.append(one)
        left = unmatched
    return left


def _data(function: str, invocations: Iterable[_Invocation]) -> Iterable[dict[str, Any]]:
    gathered: defaultdict[Series, Counter[float]] = defaultdict(Counter)
    for one in invocations:
        said = {"Invocations": 1, "Errors": int(one.failed), "Throttles": 0, "Duration": one.milliseconds}
        for name, value in said.items():
            unit = "Milliseconds" if name == "Duration" else "Count"
            gathered[Series(NAMESPACE, name, (("FunctionName", function),), unit, one.at // 1000)][value] += 1
    for series, counts in gathered.items():
        yield from datums(series, counts)


def _now() -> int:
    return int(time.time() * 1000)
