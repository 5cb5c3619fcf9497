"""Answers as the OpenAPI document describes them, with null for everything that may be null."""

import json
import re
from functools import cache
from typing import Any

from leaseway_local.engine.paths import ROOT

_SAMPLES = {"string": "text", "integer": 3, "number": 1.5, "boolean": True}
_TIME = "2026-02-04T15:30:00.000Z"


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "functions" / "api" / "openapi.json").read_text())
    return document


def sample_answer(method: str, path: str, *, nulls: bool = True) -> Any:
    """Make an answer of the operation that serves a path, or None if it has no JSON; lists have one item.

    With `nulls` every value that may be null is null, else none.
    """
    operation = _find_operation(method, path)
    answer = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    content = answer.get("content", {}).get("application/json")
    return _sample(content["schema"], nulls=nulls) if content else None


def _find_operation(method: str, path: str) -> dict[str, Any]:
    # A path without a parameter comes before one that a parameter would match as well.
    for template in sorted(_document()["paths"], key=lambda template: template.count("{")):
        pattern = re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in _document()["paths"][template]:
            operation: dict[str, Any] = _document()["paths"][template][method.lower()]
            return operation
    raise LookupError(f"no operation serves {method} {path}")


def _sample(schema: dict[str, Any], *, nulls: bool) -> Any:
    if reference := schema.get("$ref"):
        return _sample(_document()["components"]["schemas"][reference.rpartition("/")[2]], nulls=nulls)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        may_be_null = {"type": "null"} in choices
        others = [choice for choice in choices if choice != {"type": "null"}]
        return None if may_be_null and nulls else _sample(others[0], nulls=nulls)
    if "enum" in schema:
        return schema["enum"][0]
    if examples := schema.get("examples"):
        return examples[0]
    return _sample_of_type(schema, nulls=nulls)


def _sample_of_type(schema: dict[str, Any], *, nulls: bool) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = "null" if nulls and "null" in kind else next(each for each in kind if each != "null")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _sample(properties[name], nulls=nulls) for name in schema.get("required", properties)}
    if kind == "array":
        return [_sample(schema["items"], nulls=nulls)] if "items" in schema else []
    return _TIME if schema.get("format") == "date-time" else _SAMPLES.get(str(kind))
