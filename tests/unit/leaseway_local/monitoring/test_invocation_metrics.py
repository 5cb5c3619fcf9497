"""AWS/Lambda from the logs: what the engine has not counted is reported, once."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from leaseway_local.monitoring import invocation_metrics
from leaseway_local.monitoring.invocation_metrics import InvocationMetrics

NOW_MS = 1_700_000_000_000


class Engine:
    """Logs and CloudWatch of one function in memory."""

    class exceptions:  # noqa: N801 - boto3's name
        ResourceNotFoundException = KeyError

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []

    def get_paginator(self, _: str) -> "Engine":
        return self

    def paginate(self, startTime: int, filterPattern: str, **_: Any) -> Iterator[Any]:  # noqa: N803
        word = filterPattern.strip('"').split()[0]
        yield {"events": [each for each in self.events if each["timestamp"] >= startTime and word in each["message"]]}

    def get_metric_data(self, MetricDataQueries: Any, **_: Any) -> Any:  # noqa: N803
        (query,) = MetricDataQueries
        seconds: Counter[int] = Counter()
        for point in self.points:
            if point["MetricName"] == query["MetricStat"]["Metric"]["MetricName"]:
                seconds[point["Timestamp"]] += int(sum(point["Counts"]))
        times = [datetime.fromtimestamp(second, UTC) for second in seconds]
        return {"MetricDataResults": [{"Id": query["Id"], "Timestamps": times, "Values": list(seconds.values())}]}

    def ran(self, stream: str, milliseconds: int, *, at: int = NOW_MS - 3_000, failed: bool = False) -> None:
        lines = [f"REPORT RequestId: {stream}\tDuration: {milliseconds} ms\tBilled Duration: {milliseconds} ms"]
        for message in ["Traceback (most recent call last):"] * failed + lines:
            self.events.append({"timestamp": at, "logStreamName": stream, "message": message})

    def count(self, at: int) -> None:
        self.points.append({"MetricName": "Duration", "Timestamp": at // 1000, "Values": [1.5], "Counts": [1.0]})

    def sums(self) -> dict[str, float]:
        totals = dict.fromkeys(("Invocations", "Errors", "Throttles", "Duration"), 0.0)
        for point in self.points:
            pairs = zip(point["Values"], point["Counts"], strict=True)
            totals[point["MetricName"]] += sum(value * count for value, count in pairs)
        return totals


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(invocation_metrics, "_now", lambda: NOW_MS)
    return Engine()


def make_metrics(engine: Engine) -> InvocationMetrics:
    return InvocationMetrics(engine, engine, {"s-api": "/aws/lambda/s-api"})


def test_what_only_the_logs_know_is_counted_with_its_duration_and_failure(engine: Engine) -> None:
    engine.ran("one", 20)
    engine.ran("two", 20)
    engine.ran("three", 7, failed=True)
    engine.points += make_metrics(engine).read_missing()
    assert engine.sums() == {"Invocations": 3, "Errors": 1, "Throttles": 0, "Duration": 47}


def test_what_the_engine_counted_itself_is_not_counted_again(engine: Engine) -> None:
    # Given three of three seconds, of which the engine counted the second, a moment later
    for number, name in enumerate(("one", "two", "three")):
        engine.ran(name, number, at=NOW_MS - 9_000 + number * 3_000 + 900, failed=name == "two")
    engine.count(NOW_MS - 5_000)
    missing = make_metrics(engine).read_missing()
    assert [point["Values"] for point in missing if point["MetricName"] == "Duration"] == [[0.0], [2.0]]
    assert [point["Values"] for point in missing if point["MetricName"] == "Errors"] == [[0], [0]]


def test_what_just_ran_waits_until_the_engine_may_have_counted_it(engine: Engine) -> None:
    engine.ran("one", 20, at=NOW_MS - 1_000)
    assert make_metrics(engine).read_missing() == []


def test_a_call_that_failed_is_made_good_and_one_that_arrived_is_not_repeated(engine: Engine) -> None:
    invocations = make_metrics(engine)
    engine.ran("one", 20)
    lost = invocations.read_missing()
    assert invocations.read_missing() == lost != []
    engine.points += lost
    assert invocations.read_missing() == []
    # And a restarted forwarder repeats nothing
    assert make_metrics(engine).read_missing() == []
