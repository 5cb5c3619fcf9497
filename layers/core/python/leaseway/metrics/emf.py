"""CloudWatch's embedded metric format: noted values become lines of the log."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec
from aws_lambda_powertools.metrics import EphemeralMetrics

from leaseway.metrics.catalogue import CATALOGUE, NAMESPACE
from leaseway.metrics.notes import Values, take_all
from leaseway.metrics.process import note_process
from leaseway.settings import settings

# Powertools writes a metric out by itself when it holds 100 values, CloudWatch's limit for a line.
_VALUES_PER_LINE = 99

P = ParamSpec("P")
R = TypeVar("R")


def flush(function: str) -> None:
    """Write what was noted as `function`: one line, and more only if one cannot hold all values."""
    note_process(function)
    parts = (part for dimensions, values in take_all() for part in _serialize(dimensions, values))
    for line in _join(parts):
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def flush_after(function: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a handler to write what was noted while it ran, even if it raises."""

    def decorate(handler: Callable[P, R]) -> Callable[P, R]:
        @wraps(handler)
        def handle(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return handler(*args, **kwargs)
            finally:
                flush(function)

        return handle

    return decorate


def _serialize(dimensions: Mapping[str, str], values: Values) -> Iterator[dict[str, Any]]:
    """The values of one set of dimensions as Powertools writes them, in as many parts as needed."""
    longest = max(len(numbers) for numbers in values.values())
    for start in range(0, longest, _VALUES_PER_LINE):
        part = EphemeralMetrics(namespace=NAMESPACE, service=settings().service)
        for name, value in dimensions.items():
            part.add_dimension(name, value)
        for name, numbers in values.items():
            for number in numbers[start : start + _VALUES_PER_LINE]:
                part.add_metric(name, CATALOGUE[name].unit, number)
        yield dict(part.serialize_metric_set())


def _join(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts, joined unless they have different values of the same name: a line is billed and read as one."""
    lines: list[dict[str, Any]] = []
    for part in parts:
        facts = {name: value for name, value in part.items() if name != "_aws"}
        fitting = (line for line in lines if all(line.get(name, value) == value for name, value in facts.items()))
        line = next(fitting, None)
        if line is None:
            lines.append(part)
        else:
            line["_aws"]["CloudWatchMetrics"] += part["_aws"]["CloudWatchMetrics"]
            line.update(facts)
    return lines
