"""Completes infra/dashboard.json with new metrics, queues, functions and job types, and copies it into template.yaml.

Widgets are written by hand. If a widget has a line for each queue, function or job type, missing lines are added with
the options of their neighbours, and lines of subjects that no longer exist are removed. A catalogue metric that no
widget shows gets a line in an extra widget at the end, from which it can be moved by hand.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from aws_lambda_powertools.metrics import MetricUnit

from leaseway.metrics import NAMESPACE, SERVICE, Metric

_INDENT = " " * 8
_BODY = re.compile(rf"^( +DashboardBody: !Sub \|\n)(?:{_INDENT}.*\n)+", re.MULTILINE)
_WIDTH = 118
_NOT_WATCHED = "FirstAdminFunction"  # runs once per deployment
_DEAD_LETTERS = "DeadLetterQueue"

# Alarms watch the differences that the check finds, the rate of failures and the age of the stream.
_NOT_DRAWN = frozenset({"LedgerEntriesChecked", "JobFailures", "RetentionLag"})
_MORE = "More"
_COLUMNS = 24

Line = list[Any]
JsonObject = dict[str, Any]


class Subject(NamedTuple):
    """A queue, function or job type with a line on the dashboard: its dimension's value and the line's label."""

    value: str
    label: str


def complete_dashboard(
    source: Path, template: Mapping[str, Any], types: Sequence[str], catalogue: Mapping[str, Metric]
) -> str:
    """Return the text of dashboard.json with a line for every metric, queue, function and job type."""
    body = json.loads(source.read_text())
    _add_missing_metrics(body["widgets"], catalogue)
    subjects = _subjects(template, types)
    for widget in body["widgets"]:
        lines = widget["properties"].get("metrics", [])
        for dimension, dimension_subjects in subjects.items():
            lines = _complete_lines(lines, dimension, dimension_subjects)
        if lines:
            widget["properties"]["metrics"] = lines
    return format_json(body) + "\n"


def insert_dashboard(template: str, dashboard: str) -> str:
    """Return the template's text with `dashboard` as the block of its `DashboardBody`."""
    block = indent(dashboard, _INDENT)
    return _BODY.sub(lambda body: body[1] + block, template)


def _add_missing_metrics(widgets: list[JsonObject], catalogue: Mapping[str, Metric]) -> None:
    drawn = {line[1] for widget in widgets for line in widget["properties"].get("metrics", []) if line[0] == NAMESPACE}
    missing = {name: metric for name, metric in catalogue.items() if name not in drawn | _NOT_DRAWN}
    if missing:
        more = next((widget for widget in widgets if widget["properties"].get("title") == _MORE), None)
        if more is None:
            more = _place_after(widgets[-1])
            widgets.append(more)
        more["properties"]["metrics"] += [_line_of(name, metric) for name, metric in missing.items()]


def _place_after(last: JsonObject) -> JsonObject:
    """Return an empty widget like the last one, placed beside it or in the next row."""
    x = last["x"] + last["width"]
    place = {"x": x, "y": last["y"]} if x < _COLUMNS else {"x": 0, "y": last["y"] + last["height"]}
    axis = {"left": {"min": 0, "label": "value", "showUnits": False}}
    return last | place | {"properties": last["properties"] | {"title": _MORE, "yAxis": axis, "metrics": []}}


def _line_of(name: str, metric: Metric) -> Line:
    dimensions = [part for dimension in metric.by[0] for part in (dimension, "*")]
    options = {"label": _words(name, "", " "), "stat": "Sum" if metric.unit == MetricUnit.Count else "Maximum"}
    return [NAMESPACE, name, *dimensions, SERVICE, "${AWS::StackName}", options]


def _subjects(template: Mapping[str, Any], types: Sequence[str]) -> dict[str, list[Subject]]:
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    functions = [name for name, kind in kinds.items() if kind.endswith("::Function") and name != _NOT_WATCHED]
    queues = [name for name, kind in kinds.items() if kind == "AWS::SQS::Queue" and name != _DEAD_LETTERS]
    return {
        "QueueName": [Subject(f"${{{name}.QueueName}}", _words(name, "Queue", " ")) for name in queues],
        "FunctionName": [Subject(f"${{{name}}}", _words(name, "Function", "-")) for name in functions],
        "function": [Subject(_words(name, "Function", "-"), _words(name, "Function", "-")) for name in functions],
        "type": [Subject(name, name) for name in sorted(types)],
    }


def _words(name: str, ending: str, between: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", between, name.removesuffix(ending)).lower()


def _complete_lines(lines: list[Line], dimension: str, subjects: Sequence[Subject]) -> list[Line]:
    by_subject = [line for line in lines if dimension in line and f"{{{_DEAD_LETTERS}." not in str(line)]
    if not by_subject:
        return lines
    pattern, *_ = by_subject
    at = pattern.index(dimension) + 1
    complete = [
        [*pattern[:at], subject.value, *pattern[at + 1 : -1], pattern[-1] | {"label": subject.label}]
        for subject in subjects
    ]
    return [*complete, *(line for line in lines if line not in by_subject)]


def format_json(node: Any, depth: int = 0) -> str:
    """Return the JSON of `node`; each part that fits on one line is written on one line."""
    whole = json.dumps(node, ensure_ascii=False)
    if not isinstance(node, dict | list) or 2 * depth + len(whole) <= _WIDTH:
        return whole
    opening, closing = "{}" if isinstance(node, dict) else "[]"
    inner = ",\n".join("  " * (depth + 1) + part for part in _parts(node, depth + 1))
    return f"{opening}\n{inner}\n{'  ' * depth}{closing}"


def _parts(node: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (f"{json.dumps(name)}: {format_json(value, depth)}" for name, value in node.items())
    else:
        yield from (format_json(value, depth) for value in node)
