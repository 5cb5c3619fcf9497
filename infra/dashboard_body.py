"""Completes infra/dashboard.json with new queues, functions and job types, and copies it into template.yaml.

Widgets are written by hand. If a widget has a line for each queue, function or job type, a missing line is added with
the options of its neighbours, and the line of a subject that no longer exists is removed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

_INDENT = " " * 8
_BODY = re.compile(rf"^( +DashboardBody: !Sub \|\n)(?:{_INDENT}.*\n)+", re.MULTILINE)
_WIDTH = 118
_NOT_WATCHED = "FirstAdminFunction"  # runs once a deployment
_DEAD_LETTERS = "DeadLetterQueue"

Line = list[Any]


class Subject(NamedTuple):
    """A queue, function or job type that has a line: the value of its dimension and the label of the line."""

    value: str
    label: str


def complete_dashboard(source: Path, template: Mapping[str, Any], types: Sequence[str]) -> str:
    """Return the text of dashboard.json with a line for each queue and function of the template and each job type."""
    body = json.loads(source.read_text())
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
    """Return the JSON of `node`, with each part that fits into a line on a line."""
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
