"""Read a dashboard's widgets with their data from CloudWatch, as its own console does."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leaseway_local.monitoring.metric_points import read_points

_QUERIES_PER_CALL = 500
_POINTS_PER_WIDGET = 180

Widget = dict[str, Any]


def read_widgets(body: Mapping[str, Any], cloudwatch: Any, minutes: int) -> dict[str, Any]:
    """Read the widgets of a dashboard's body, with the points of the last `minutes`. One call per 500 lines."""
    period = _period(minutes)
    end = (int(time.time()) // period + 1) * period
    start = end - minutes * 60
    widgets = [_layout(widget) for widget in body["widgets"]]
    lines = [line for widget in widgets for line in widget.get("lines", [])]
    for line, (times, values) in zip(lines, _read_points(cloudwatch, lines, period, start, end), strict=True):
        line["times"], line["values"] = times, values
    return {"start": start, "end": end, "period": period, "widgets": widgets}


def _period(minutes: int) -> int:
    """Seconds per point: 60, or more if a widget would have too many points."""
    return 60 * max(1, -(-minutes // _POINTS_PER_WIDGET))


def _layout(widget: Widget) -> Widget:
    place = {name: widget[name] for name in ("type", "x", "y", "width", "height")}
    properties = widget["properties"]
    if widget["type"] != "metric":
        return {**place, "text": properties["markdown"].lstrip("# ")}
    unit = properties.get("yAxis", {}).get("left", {}).get("label", "")
    lines = [_line(metric, properties) for metric in properties["metrics"]]
    return {**place, "title": properties["title"], "unit": unit, "lines": lines}


def _line(metric: Sequence[Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    *named, options = metric if isinstance(metric[-1], dict) else (*metric, {})
    namespace, name, *dimensions = named
    pairs = zip(dimensions[::2], dimensions[1::2], strict=True)
    return {
        "label": options.get("label", name),
        "stat": options.get("stat", properties.get("stat", "Average")),
        "metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": of, "Value": value} for of, value in pairs],
        },
    }


def _read_points(
    cloudwatch: Any, lines: Sequence[Widget], period: int, start: int, end: int
) -> Iterator[tuple[list[int], list[float]]]:
    for first in range(0, len(lines), _QUERIES_PER_CALL):
        queries: list[dict[str, Any]] = [
            {"Id": f"m{number}", "MetricStat": {"Metric": line["metric"], "Period": period, "Stat": line["stat"]}}
            for number, line in enumerate(lines[first : first + _QUERIES_PER_CALL])
        ]
        by_id = read_points(cloudwatch, queries, start, end, ScanBy="TimestampAscending")
        for query in queries:
            points = by_id[query["Id"]]
            yield [at for at, _ in points], [value for _, value in points]
