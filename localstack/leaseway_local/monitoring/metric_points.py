"""The points of metrics that CloudWatch returns, checked against what was asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from leaseway_local.answer_checks import UnexpectedAnswerError

Points = list[tuple[int, float]]
"""Pairs of a second since the epoch and the value at it."""

_ANSWER = "CloudWatch's answer to GetMetricData"


def read_points(
    cloudwatch: Any, queries: Sequence[Mapping[str, Any]], start: Any, end: Any, **options: Any
) -> dict[str, Points]:
    """Read the points of each query between two times, by the query's `Id`. One call.

    Raises:
        UnexpectedAnswerError: a query has no answer, or one with more times than values or fewer.
        ClientError, BotoCoreError: CloudWatch does not answer.
    """
    answer = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=end, **options)
    points = {series["Id"]: _pair(series) for series in answer["MetricDataResults"]}
    for query in queries:
        if query["Id"] not in points:
            raise UnexpectedAnswerError(f"has no metric {query['Id']!r}", of=_ANSWER)
    return points


def _pair(series: Mapping[str, Any]) -> Points:
    times, values = series["Timestamps"], series["Values"]
    if len(times) != len(values):
        raise UnexpectedAnswerError(f"has {len(times)} times and {len(values)} values", of=_ANSWER)
    return [(int(moment.timestamp()), value) for moment, value in zip(times, values, strict=True)]
