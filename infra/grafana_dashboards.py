"""Grafana's dashboards: those on CloudWatch follow infra/dashboard.json, those on Prometheus show `/metrics`.

Each source has two dashboards: the service, and the tasks by instance. The data sources are defined in
infra/grafana/provisioning.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dashboard_body import format_json

CLOUDWATCH = {"type": "cloudwatch", "uid": "leaseway-cloudwatch"}
PROMETHEUS = {"type": "prometheus", "uid": "leaseway-prometheus"}

_TASKS = ("Active jobs by worker", "Scheduler", "Lag", "Throughput", "Wait for a worker", "Run time", "Leases")
"""The widgets of dashboard.json about tasks and the workers that run them."""

_FUNCTION = re.compile(r"\$\{(\w+Function)\}")
_QUEUE = re.compile(r"\$\{(\w+)\.QueueName\}")
_UNITS = {"ms": "ms", "s": "s", "MB": "decmbytes"}
_DURATION = "http_request_duration_seconds"
_WIDTH, _HEIGHT = 8, 7
_COLUMNS = 24

Panel = dict[str, Any]


class Chart(NamedTuple):
    """A panel on Prometheus: its title, its unit, and each line's expression by its legend."""

    title: str
    unit: str
    lines: Mapping[str, str]


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_DURATION}_bucket[5m])))"


_REQUEST = "{{method}} {{route}} {{status}}"
_STEPS = ("created", "started", "completed", "failed", "cancelled", "retried")

_SERVICE_CHARTS = {
    "Service": [
        Chart("Requests", "reqps", {_REQUEST: "rate(http_requests_total[1m])"}),
        Chart("Errors of the service", "reqps", {"{{route}}": 'rate(http_requests_total{status="5xx"}[1m])'}),
        Chart("Latency in the function", "s", {f"p{100 * share:g}": _quantile(share) for share in (0.5, 0.95, 0.99)}),
        Chart("Latency on average", "s", {_REQUEST: f"rate({_DURATION}_sum[5m]) / rate({_DURATION}_count[5m])"}),
    ],
    "Jobs": [
        Chart("Throughput", "cps", {step: f"sum(rate(leaseway_jobs_{step}_total[1m]))" for step in _STEPS}),
        Chart("Completed by type", "cps", {"{{type}}": "rate(leaseway_jobs_completed_total[1m])"}),
        Chart("Failed by type", "cps", {"{{type}}": "rate(leaseway_jobs_failed_total[1m])"}),
        Chart("Jobs by status", "short", {"{{status}}": "sum by (status) (leaseway_jobs)"}),
        Chart("Dead letters", "short", {"dead letters": "leaseway_dead_letters"}),
    ],
    "Balances": [Chart("Updates", "cps", {"{{outcome}}": "rate(leaseway_balance_updates_total[1m])"})],
    "Functions": [
        Chart("Memory used", "bytes", {"{{function}}": "process_resident_memory_bytes"}),
        Chart("CPU used", "percentunit", {"{{function}}": "rate(process_cpu_seconds_total[5m])"}),
        Chart("Cold starts", "cps", {"{{function}}": "rate(leaseway_cold_starts_total[5m])"}),
    ],
}

_TASK_CHARTS = {
    "Now": [
        Chart("Active tasks", "short", {"all": "sum(app_active_tasks_total)"}),
        Chart("Active tasks by instance", "short", {"{{worker}}": "sum by (worker) (app_active_tasks_total)"}),
        Chart("Instances at work", "short", {"instances": "count(app_active_tasks_total)"}),
    ],
    "By type": [
        Chart("Waiting", "short", {"{{type}}": 'leaseway_jobs{status="CREATED"}'}),
        Chart("Running", "short", {"{{type}}": 'leaseway_jobs{status="RUNNING"}'}),
        Chart("Begun", "cps", {"{{type}}": "rate(leaseway_jobs_started_total[1m])"}),
    ],
}


def grafana_dashboards(dashboard: str, template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each dashboard, from the text of dashboard.json and the template that it belongs to."""
    widgets = json.loads(dashboard)["widgets"]
    tasks = [widget for widget in widgets if widget["properties"].get("title") in _TASKS]
    every_variable = [_stack(), *_queues(dashboard)]
    dashboards = {
        "cloudwatch-service": ("Leaseway: service (CloudWatch)", _on_cloudwatch(widgets, template), every_variable),
        "cloudwatch-tasks": (
            "Leaseway: tasks by instance (CloudWatch)",
            _on_cloudwatch(tasks, template),
            every_variable[:1],
        ),
        "prometheus-service": ("Leaseway: service (Prometheus)", _on_prometheus(_SERVICE_CHARTS), []),
        "prometheus-tasks": ("Leaseway: tasks by instance (Prometheus)", _on_prometheus(_TASK_CHARTS), []),
    }
    for name, (title, panels, variables) in dashboards.items():
        numbered = [{"id": number, **panel} for number, panel in enumerate(panels, start=1)]
        yield f"{name}.json", format_json(_dashboard(name, title, numbered, variables)) + "\n"


def _dashboard(name: str, title: str, panels: Sequence[Panel], variables: Sequence[Any]) -> dict[str, Any]:
    return {
        "uid": f"leaseway-{name}",
        "title": title,
        "tags": ["leaseway"],
        "schemaVersion": 39,
        "editable": False,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": list(variables)},
        "panels": list(panels),
    }


def _lay_out(rows: Mapping[str, Sequence[Panel]]) -> Iterator[Panel]:
    """Yield the panels in rows of three under their titles."""
    y = 0
    for title, panels in rows.items():
        yield {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, y, _COLUMNS, 1)}
        y += 1
        for number, panel in enumerate(panels):
            line, column = divmod(number, _COLUMNS // _WIDTH)
            yield {**panel, "gridPos": _place(column * _WIDTH, y + line * _HEIGHT, _WIDTH, _HEIGHT)}
        y += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(title: str, unit: str, source: Mapping[str, str], targets: Sequence[dict[str, Any]], label: str) -> Panel:
    return {
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"axisLabel": label}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": source, **each} for place, each in enumerate(targets)
        ],
    }


# ---- CloudWatch ------------------------------------------------------------------------------------------------------


def _on_cloudwatch(widgets: Sequence[Mapping[str, Any]], template: Mapping[str, Any]) -> Iterator[Panel]:
    rows: dict[str, list[Panel]] = {}
    title = "Tasks"
    for widget in sorted(widgets, key=lambda one: (one["y"], one["x"])):
        properties = widget["properties"]
        if "markdown" in properties:
            title = properties["markdown"].lstrip("# ")
        else:
            rows.setdefault(title, []).append(_cloudwatch_panel(properties, template))
    yield from _lay_out(rows)


def _cloudwatch_panel(properties: Mapping[str, Any], template: Mapping[str, Any]) -> Panel:
    label = properties["yAxis"]["left"]["label"]
    targets = [_query(line, properties["period"], template) for line in properties["metrics"]]
    return _panel(properties["title"], _UNITS.get(label, "short"), CLOUDWATCH, targets, label)


def _query(line: Sequence[Any], period: int, template: Mapping[str, Any]) -> dict[str, Any]:
    namespace, name, *pairs, options = line
    dimensions = zip(pairs[::2], pairs[1::2], strict=True)
    return {
        "queryMode": "Metrics",
        "metricQueryType": 0,
        "metricEditorMode": 0,
        "region": "default",
        "namespace": namespace,
        "metricName": name,
        "dimensions": {dimension: _value(value, template) for dimension, value in dimensions},
        "matchExact": True,
        "statistic": options["stat"],
        "period": str(period),
        "label": options["label"],
        "id": "",
        "expression": "",
    }


def _value(value: str, template: Mapping[str, Any]) -> str:
    """Return a dimension's value with Grafana's variables in place of CloudFormation's."""
    if function := _FUNCTION.fullmatch(value):
        value = template["Resources"][function[1]]["Properties"]["FunctionName"]["Fn::Sub"]
    return _QUEUE.sub(r"$\1", value).replace("${AWS::StackName}", "${stack}")


def _stack() -> dict[str, Any]:
    current = {"text": "leaseway", "value": "leaseway"}
    return {"type": "textbox", "name": "stack", "label": "Stack", "query": "leaseway", "current": current}


def _queues(dashboard: str) -> list[dict[str, Any]]:
    """Return a hidden variable for each queue, because CloudFormation appends a random suffix to a queue's name."""
    return [
        {
            "type": "query",
            "name": queue,
            "hide": 2,
            "refresh": 1,
            "datasource": CLOUDWATCH,
            "query": {
                "queryType": "dimensionValues",
                "region": "default",
                "namespace": "AWS/SQS",
                "metricName": "ApproximateNumberOfMessagesVisible",
                "dimensionKey": "QueueName",
            },
            "regex": f"/^${{stack}}-{queue}-.*/",
        }
        for queue in sorted(set(_QUEUE.findall(dashboard)))
    ]


# ---- Prometheus ------------------------------------------------------------------------------------------------------


def _on_prometheus(charts: Mapping[str, Sequence[Chart]]) -> Iterator[Panel]:
    yield from _lay_out({title: [_prometheus_panel(chart) for chart in row] for title, row in charts.items()})


def _prometheus_panel(chart: Chart) -> Panel:
    targets = [{"expr": expression, "legendFormat": legend} for legend, expression in chart.lines.items()]
    return _panel(chart.title, chart.unit, PROMETHEUS, targets, "")
