"""What the alarms say, by CloudWatch's own rules, from the data that they name.

Local engines look at an alarm only when data come in, pool all dimensions of a metric, and know nothing of missing
data: their own states say little. This asks for the very metric, dimension by dimension, period by period.
"""

import time
from collections.abc import Mapping
from typing import Any

_BREACHES = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}

Alarm = Mapping[str, Any]


def states(cloudwatch: Any, stack: str) -> list[dict[str, str]]:
    """Name, state and reason of each alarm of a stack, by name. One call of GetMetricData an alarm."""
    found = cloudwatch.describe_alarms(AlarmNamePrefix=f"{stack}-")["MetricAlarms"]
    return [
        {"name": alarm["AlarmName"], "state": state_of(cloudwatch, alarm), "why": alarm.get("AlarmDescription", "")}
        for alarm in sorted(found, key=lambda alarm: str(alarm["AlarmName"]))
    ]


def state_of(cloudwatch: Any, alarm: Alarm, now: float | None = None) -> str:
    """OK, ALARM or INSUFFICIENT_DATA: whether enough of the last periods breach the threshold.

    The period that has just begun is looked at too: what it holds already can only be told sooner.
    """
    period, periods = alarm["Period"], alarm["EvaluationPeriods"]
    current = int((now or time.time()) // period) * period
    wanted = range(current - period * periods, current + 1, period)
    found = _values(cloudwatch, alarm, wanted[0], current + period)
    wanted = wanted[1:] if current in found else wanted[:-1]
    breaches = [_breaching(alarm, found.get(moment)) for moment in wanted]
    if all(breach is None for breach in breaches):
        return "INSUFFICIENT_DATA"
    enough = sum(breach is True for breach in breaches) >= alarm.get("DatapointsToAlarm", periods)
    return "ALARM" if enough else "OK"


def _breaching(alarm: Alarm, value: float | None) -> bool | None:
    if value is None:
        return {"breaching": True, "notBreaching": False}.get(alarm.get("TreatMissingData", "missing"))
    return bool(_BREACHES[alarm["ComparisonOperator"]](value, alarm["Threshold"]))


def _values(cloudwatch: Any, alarm: Alarm, start: int, end: int) -> dict[int, float]:
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
    stat = {
        "Metric": metric,
        "Period": alarm["Period"],
        "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
    }
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "alarm", "MetricStat": stat}], StartTime=start, EndTime=end
    )
    found = answer["MetricDataResults"][0]
    return {int(at.timestamp()): value for at, value in zip(found["Timestamps"], found["Values"], strict=True)}
