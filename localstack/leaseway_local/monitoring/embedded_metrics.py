"""Embedded-metric lines of a log, read as CloudWatch reads them: what each says becomes data to put."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VALUES_A_DATUM = 150  # PutMetricData's limit


@dataclass(frozen=True)
class Series:
    """One metric under one set of dimensions, at one second."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    second: int
    """Seconds since the epoch."""


def data_of(lines: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """MetricData by namespace. What is no embedded-metric line says nothing."""
    gathered: defaultdict[Series, Counter[float]] = defaultdict(Counter)
    for line in lines:
        for series, value in _said(line):
            gathered[series][value] += 1
    data: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for series, counts in gathered.items():
        data[series.namespace] += datums(series, counts)
    return dict(data)


def _said(line: str) -> Iterator[tuple[Series, float]]:
    try:
        said = json.loads(line)
        second = int(said["_aws"]["Timestamp"]) // 1000
        directives = said["_aws"]["CloudWatchMetrics"]
    except (ValueError, TypeError, KeyError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, str(said[name])) for name in names))
            for metric in directive["Metrics"]:
                values = said[metric["Name"]]
                series = Series(directive["Namespace"], metric["Name"], dimensions, metric.get("Unit", "None"), second)
                yield from ((series, float(value)) for value in (values if isinstance(values, list) else [values]))


def datums(series: Series, counts: Mapping[float, float]) -> Iterator[dict[str, Any]]:
    """MetricData that say how often each value was there: one, and more where one cannot hold them."""
    pairs = sorted(counts.items())
    for start in range(0, len(pairs), _VALUES_A_DATUM):
        values, times = zip(*pairs[start : start + _VALUES_A_DATUM], strict=True)
        yield {
            "MetricName": series.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
            "Timestamp": series.second,
            "Unit": series.unit,
            "Values": list(values),
            "Counts": [float(count) for count in times],
        }
