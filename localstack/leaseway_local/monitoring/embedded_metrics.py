"""Convert embedded-metric log lines to PutMetricData, as CloudWatch does."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VALUES_PER_DATUM = 150  # PutMetricData's limit


@dataclass(frozen=True)
class Series:
    """One metric under one set of dimensions, at one second."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    second: int
    """Seconds since the epoch."""


def to_metric_data(lines: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Convert lines to MetricData by namespace; other lines are ignored."""
    gathered: defaultdict[Series, Counter[float]] = defaultdict(Counter)
    for line in lines:
        for series, value in _parse(line):
            gathered[series][value] += 1
    data: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for series, counts in gathered.items():
        data[series.namespace] += split_datums(series, counts)
    return dict(data)


def _parse(line: str) -> Iterator[tuple[Series, float]]:
    try:
        document = json.loads(line)
        second = int(document["_aws"]["Timestamp"]) // 1000
        directives = document["_aws"]["CloudWatchMetrics"]
    except (ValueError, TypeError, KeyError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, str(document[name])) for name in names))
            for metric in directive["Metrics"]:
                values = document[metric["Name"]]
                series = Series(directive["Namespace"], metric["Name"], dimensions, metric.get("Unit", "None"), second)
                yield from ((series, float(value)) for value in (values if isinstance(values, list) else [values]))


def split_datums(series: Series, counts: Mapping[float, float]) -> Iterator[dict[str, Any]]:
    """Convert value counts to MetricData, several if the values exceed the limit of one."""
    pairs = sorted(counts.items())
    for start in range(0, len(pairs), _VALUES_PER_DATUM):
        values, times = zip(*pairs[start : start + _VALUES_PER_DATUM], strict=True)
        yield {
            "MetricName": series.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
            "Timestamp": series.second,
            "Unit": series.unit,
            "Values": list(values),
            "Counts": [float(count) for count in times],
        }
