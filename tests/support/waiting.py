"""Conditions that tests wait for, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value | None], *, seconds: float, what: str, every: float = 0.1) -> Value:
    """Return the first true value of `condition`; fail, naming `what` was awaited, once the bound has passed."""
    ends = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(every)
    return value
