"""One form for equal JSON: names in order, and equal numbers alike, whatever their size."""

import json
from decimal import Decimal
from typing import Any

_FIRST_GAP = 2**53
"""From here on, several whole numbers have one float. It stands for the one with the fewest digits, such as 1e23."""


def canonical_json(value: Any) -> bytes:
    """Return the JSON text that every equal value has: `{"b": 1.0, "a": 2}` and `{"a": 2, "b": 1}` have one.

    1, 1.0 and 1e0 are one number, as in JSON Schema and in JavaScript; `true` is none, and `"1"` is text.

    Raises:
        RecursionError: nested some hundreds deep.
    """
    return json.dumps(with_whole_numbers(value), sort_keys=True, separators=(",", ":")).encode()


def with_whole_numbers(value: Any) -> Any:
    """Return a JSON value in which a number without a fraction is an `int`, so that 5.0 fits where 5 does.

    Raises:
        RecursionError: nested some hundreds deep.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < _FIRST_GAP else int(Decimal(repr(value)))
    if isinstance(value, dict):
        return {name: with_whole_numbers(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [with_whole_numbers(item) for item in value]
    return value


def escape_surrogates(text: str) -> str:
    """Return the text with lone surrogates escaped: an executor may pass on a file's name, and JSON cannot hold it."""
    return text.encode(errors="backslashreplace").decode()
