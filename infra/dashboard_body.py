"""The dashboard: infra/dashboard.json, completed with what has come since, and as template.yaml holds it.

Widgets are written by hand. Where one has a line for each queue, function or job type, a line that is missing is added
after the pattern of its neighbours, and one whose subject is gone is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_BODY = re.compile(r"^( +DashboardBody: !Sub )'.*'$", re.MULTILINE)
_WIDTH = 118
_NOT_WATCHED = "FirstAdminFunction"  # runs once a deployment
_DEAD_LETTERS = "DeadLetterQueue"

Line = list[Any]


class Subject(NamedTuple):
    """What a line is about: the dimension's value and the line's label."""

    value: str
    label: str


def completed(source: Path, template: Mapping[str, Any], types: Sequence[str]) -> str:
    """The text of dashboard.json with a line for each of the template's queues and functions and for each type."""
    body = json.loads(source.read_text())
    subjects = _subjects(template, types)
    for widget in body["widgets"]:
        lines = widget["properties"].get("metrics", [])
        for dimension, all_of_them in subjects.items():
            lines = _with_all(lines, dimension, all_of_them)
        if lines:
            widget["properties"]["metrics"] = lines
    return pretty(body) + "\n"


def with_dashboard(template: str, dashboard: str) -> str:
    """The template's text with the dashboard of that text, in one line."""
    body = json.dumps(json.loads(dashboard), separators=(",", ":"), ensure_ascii=False)
    quoted = body.replace("'", "''")
    return _BODY.sub(lambda line: f"{line[1]}'{quoted}'", template)


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


def _with_all(lines: list[Line], dimension: str, subjects: Sequence[Subject]) -> list[Line]:
    of_one = [line for line in lines if dimension in line and f"{{{_DEAD_LETTERS}." not in str(line)]
    if not of_one:
        return lines
    first, *_ = of_one
    place = first.index(dimension) + 1
    made = [[*first[:place], one.value, *first[place + 1 : -1], first[-1] | {"label": one.label}] for one in subjects]
    return [*made, *(line for line in lines if line not in of_one)]


def pretty(node: Any, depth: int = 0) -> str:
    """JSON in which what fits into a line is one."""
    whole = json.dumps(node, ensure_ascii=False)
    if not isinstance(node, dict | list) or 2 * depth + len(whole) <= _WIDTH:
        return whole
    opening, closing = "{}" if isinstance(node, dict) else "[]"
    inner = ",\n".join("  " * (depth + 1) + part for part in _parts(node, depth + 1))
    return f"{opening}\n{inner}\n{'  ' * depth}{closing}"


def _parts(node: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (f"{json.dumps(name)}: {pretty(value, depth)}" for name, value in node.items())
    else:
        yield from (pretty(value, depth) for value in node)
