"""Evaluate alarms by CloudWatch's rules, from the metrics that they name.

Local engines evaluate an alarm only when data arrive, pool all dimensions of a metric, and ignore missing data, so
their own states mean little. This module reads the exact metric, per dimension and period.
"""

import time
from collections.abc import Mapping
from typing import Any

from leaseway_local.monitoring.metric_points import read_points

_BREACHES = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}

Alarm = Mapping[str, Any]


def read_states(cloudwatch: Any, stack: str) -> list[dict[str, str]]:
    """Read name, state and description of each alarm of a stack, sorted by name. One GetMetricData per alarm."""
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{stack}-")["MetricAlarms"]
    return [
        {"name": alarm["AlarmName"], "state": evaluate(cloudwatch, alarm), "why": alarm.get("AlarmDescription", "")}
        for alarm in sorted(alarms, key=lambda alarm: str(alarm["AlarmName"]))
    ]


def evaluate(cloudwatch: Any, alarm: Alarm, now: float | None = None) -> str:
    """OK, ALARM or INSUFFICIENT_DATA: whether enough of the last periods breach the threshold.

    The current period counts too if it has data, so that an alarm is raised sooner.
    """
    period, periods = alarm["Period"], alarm["EvaluationPeriods"]
    current = int((now or time.time()) // period) * period
    starts = range(current - period * periods, current + 1, period)
    values = _read_values(cloudwatch, alarm, starts[0], current + period)
    starts = starts[1:] if current in values else starts[:-1]
    breaches = [_breaches_threshold(alarm, values.get(start)) for start in starts]
    if all(breach is None for breach in breaches):
        return "INSUFFICIENT_DATA"
    enough = sum(breach is True for breach in breaches) >= alarm.get("DatapointsToAlarm", periods)
    return "ALARM" if enough else "OK"


def _breaches_threshold(alarm: Alarm, value: float | None) -> bool | None:
    if value is None:
        return {"breaching": True, "notBreaching": False}.get(alarm.get("TreatMissingData", "missing"))
    return bool(_BREACHES[alarm["ComparisonOperator"]](value, alarm["Threshold"]))


def _read_values(cloudwatch: Any, alarm: Alarm, start: int, end: int) -> dict[int, float]:
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
    stat = {
        "Metric": metric,
        "Period": alarm["Period"],
        "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
    }
    return dict(read_points(cloudwatch, [{"Id": "alarm", "MetricStat": stat}], start, end)["alarm"])
