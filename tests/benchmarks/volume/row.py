"""Rows of `make bench-volume`: one module of `rows` for each, found by the registry."""

import importlib
import pkgutil
from collections.abc import Callable

import msgspec

from benchmarks.volume import rows

BEFORE = "at 883dc55"
"""The commit whose policy is the first side of each row."""

FULL = 1.0
"""The volume that a row names."""

TINY = 0.02
"""The share of it that the unit tests simulate, in about a second."""


class Outcome(msgspec.Struct, frozen=True):
    """What a simulation measured: a number in the unit of the row's target, and how the table prints it."""

    value: float
    text: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a volume of work, and how it ends on both sides.

    `before` simulates the policy of the old commit, frozen in the row's module; `now` drives the code that is shipped.
    Both take the share of the volume to simulate, `TINY` to `FULL`, and must be the same in every run.
    """

    number: int
    what: str
    target: str
    is_reached: Callable[[float], bool]
    """Whether a value reaches the target, at every scale."""
    before: Callable[[float], Outcome]
    now: Callable[[float], Outcome]


def find_rows() -> list[Row]:
    """Find the `ROW` of every module of `rows`, by their numbers.

    Raises:
        ValueError: two rows have the same number.
    """
    names = [module.name for module in pkgutil.iter_modules(rows.__path__)]
    modules = [importlib.import_module(f"{rows.__name__}.{name}") for name in names]
    numbered = sorted((module.ROW for module in modules if hasattr(module, "ROW")), key=lambda row: row.number)
    if len({row.number for row in numbered}) < len(numbered):
        raise ValueError("two rows have the same number")
    return numbered
