"""What the forwarder is made of: lines become data, a log is read once, a journal survives being cut short."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from leaseway_local.connection.clients import Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring import log_reader
from leaseway_local.monitoring.alarm_states import evaluate
from leaseway_local.monitoring.embedded_metrics import to_metric_data
from leaseway_local.monitoring.forwarder import JOURNAL_MS, ForwardedCall, Journal
from leaseway_local.monitoring.log_reader import Position
from leaseway_local.monitoring.meter_feed import MeterFeed, select_subscribed

NOW_MS = 1_700_000_000_000


def line(at: int = NOW_MS, **values: Any) -> str:
    directive = {
        "Namespace": "Leaseway",
        "Dimensions": [["service"], ["service", "type"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
    }
    return json.dumps({"_aws": {"Timestamp": at, "CloudWatchMetrics": [directive]},
                       "service": "s", "type": "SLEEP", **values})  # fmt: skip


def test_equal_values_of_a_second_are_one_datum_under_each_set_of_dimensions() -> None:
    data = to_metric_data([line(JobWait=[5, 5, 7]), line(JobWait=[5]), line(NOW_MS + 1_000, JobWait=9)])["Leaseway"]
    values = {(len(datum["Dimensions"]), datum["Timestamp"]): (datum["Values"], datum["Counts"]) for datum in data}
    assert values == {
        (count, NOW_MS // 1000 + later): expected
        for count in (1, 2)
        for later, expected in ((0, ([5, 7], [3, 1])), (1, ([9], [1])))
    }


def test_a_datum_holds_no_more_values_than_a_call_takes() -> None:
    data = to_metric_data([line(JobWait=list(range(400)))])["Leaseway"]
    assert max(len(datum["Values"]) for datum in data) == 150
    assert sum(len(datum["Values"]) for datum in data) == 800


@pytest.mark.parametrize("text", ["START RequestId", '{"_aws": 1}', '{"level": "INFO"}', "{", "[]", '{"_aws": {}}'])
def test_what_is_no_metric_says_nothing(text: str) -> None:
    assert to_metric_data([text]) == {}


class Logs:
    """Log groups in memory, as `filter_log_events` shows them."""

    class exceptions:  # noqa: N801 - boto3's name
        ResourceNotFoundException = KeyError

    def __init__(self, **groups: list[tuple[int, str]]) -> None:
        self.groups = groups

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, logGroupName: str, startTime: int, filterPattern: str) -> Any:  # noqa: N803
        events = [
            {"timestamp": at, "message": text, "logStreamName": "one"}
            for at, text in self.groups[logGroupName]
            if at >= startTime
        ]
        yield {"events": events}


def test_each_line_is_read_once_also_those_that_are_alike_and_those_that_come_late() -> None:
    logs = Logs(a=[(NOW_MS, "x"), (NOW_MS, "x")], b=[(NOW_MS + 1, "y")])
    first, position = log_reader.read(logs, ["a", "b", "never ran"], Position(0), "")
    assert sorted(first) == ["x", "x", "y"]
    logs.groups["a"] += [(NOW_MS, "x"), (NOW_MS - 1_500, "late")]
    second, position = log_reader.read(logs, ["a", "b"], position, "")
    assert sorted(second) == ["late", "x"]
    logs.groups["b"].append((NOW_MS + 60_000, "z"))
    third, position = log_reader.read(logs, ["a", "b"], position, "")
    assert (third, position.since, len(position.seen)) == (["z"], NOW_MS + 58_000, 1)
    assert log_reader.read(logs, ["a", "b"], position, "")[0] == []


def call(number: int, at: int = NOW_MS) -> ForwardedCall:
    return ForwardedCall(number, at, at, {"line": 1}, [{"MetricName": "JobWait", "Value": number}])


def test_a_journal_cut_short_by_a_death_ends_with_its_last_whole_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for number in (1, 2, 3):
        journal.append(call(number))
    whole = journal.path.read_text()
    journal.path.write_text(whole[:-20])
    again = Journal(journal.path)
    assert again.calls == [call(1), call(2)]
    # And what is appended after it is found
    again.append(call(3))
    assert Journal(journal.path).calls == [call(1), call(2), call(3)]


def test_a_journal_forgets_what_no_dashboard_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaseway_local.monitoring.forwarder._LARGEST_JOURNAL", 500)
    journal = Journal(tmp_path / "journal")
    for number in range(20):
        journal.append(call(number, NOW_MS + number * JOURNAL_MS // 5))
    assert [each.number for each in Journal(journal.path).calls] == list(range(14, 20))
    assert Journal(journal.path).last == journal.last


# ---- The meter ---------------------------------------------------------------------------------------------------


class Meter:
    """Lambda with a meter, and the logs' subscriptions."""

    class exceptions:  # noqa: N801 - boto3's name
        ResourceNotFoundException = KeyError

    def __init__(self, *subscriptions: str, failing: bool = False) -> None:
        self.subscriptions = subscriptions
        self.failing = failing
        self.given: list[dict[str, Any]] = []

    def get(self, _: str) -> "Meter":
        return self

    def describe_subscription_filters(self, logGroupName: str) -> Any:  # noqa: N803
        assert logGroupName == "/aws/lambda/s-api"
        return {"subscriptionFilters": list(self.subscriptions)}

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803
        assert FunctionName == "s-meter"
        data = json.loads(Payload)["awslogs"]["data"]
        self.given += json.loads(gzip.decompress(base64.b64decode(data)))["logEvents"]
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b"no")} if self.failing else {}


def feed(meter: Meter, **values: str) -> MeterFeed:
    named = {"ApiFunction": "s-api", "MeterFunction": "s-meter"} | values
    return MeterFeed(meter, Outputs(Target.LOCAL, "s", "r", None, named))  # type: ignore[arg-type]


def test_the_meter_gets_the_lines_that_the_template_subscribes_it_to() -> None:
    lines = [
        line(HttpDuration=[1]),
        line(JobWait=[1]),
        line(MemoryUsed=[64], function="worker"),
        line(MemoryUsed=[64], function="meter"),
        '"HttpDuration" in words',
    ]
    assert select_subscribed(lines) == [lines[0], lines[2], lines[4]]


def test_every_line_has_an_id_that_stays_when_its_call_is_sent_again() -> None:
    meter = Meter()
    for number in (7, 7, 8):
        feed(meter).deliver(number, [f"line {place}" for place in range(1_500)])
    ids = [event["id"] for event in meter.given]
    assert ids[:1_500] == ids[1_500:3_000] == [f"7-{place}" for place in range(1_500)]
    assert len(set(ids)) == 3_000
    assert [event["message"] for event in meter.given[:2]] == ["line 0", "line 1"]


def test_the_meter_is_fed_only_where_nothing_else_brings_it_lines() -> None:
    assert feed(Meter()).is_needed()
    assert not feed(Meter("a subscription")).is_needed()
    older = MeterFeed(Meter(), Outputs(Target.LOCAL, "s", "r", None, {"ApiFunction": "s-api"}))  # type: ignore[arg-type]
    assert not older.is_needed()


def test_a_meter_that_fails_stops_the_step_which_will_be_made_good() -> None:
    with pytest.raises(LocalCloudError, match="the meter failed: no"):
        feed(Meter(failing=True)).deliver(1, ["line"])


class Points:
    """CloudWatch with the values of one metric, minute by minute."""

    def __init__(self, values: dict[int, float]) -> None:
        self.values = values

    def get_metric_data(self, MetricDataQueries: Any, StartTime: int, EndTime: int) -> Any:  # noqa: N803
        from datetime import UTC, datetime

        pairs = [(at, value) for at, value in self.values.items() if StartTime <= at < EndTime]
        times = [datetime.fromtimestamp(at, UTC) for at, _ in pairs]
        [query] = MetricDataQueries
        return {
            "MetricDataResults": [{"Id": query["Id"], "Timestamps": times, "Values": [value for _, value in pairs]}]
        }


ALARM = {
    "Namespace": "N", "MetricName": "M", "Dimensions": [], "Statistic": "Maximum", "Period": 60,
    "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 10, "ComparisonOperator": "GreaterThanThreshold",
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "missing", "state"),
    [
        ({120: 11, 60: 11}, "notBreaching", "ALARM"),
        ({120: 11, 60: 10}, "notBreaching", "OK"),
        ({180: 11, 120: 11}, "notBreaching", "ALARM"),
        ({180: 1, 120: 11, 60: 1, 0: 11}, "notBreaching", "OK"),
        ({}, "notBreaching", "OK"),
        ({}, "breaching", "ALARM"),
        ({}, "missing", "INSUFFICIENT_DATA"),
        ({120: 1, 60: 1}, "breaching", "OK"),
        ({120: 1}, "breaching", "ALARM"),
    ],
)
def test_an_alarm_is_what_enough_of_its_last_periods_say(values: dict[int, float], missing: str, state: str) -> None:
    base = 1_700_000_040 // 60 * 60
    points = Points({base - 180 + at: value for at, value in values.items()})
    assert evaluate(points, ALARM | {"TreatMissingData": missing}, now=base + 5) == state
