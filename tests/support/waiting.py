"""Conditions that tests wait for, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE_SECONDS = 120
"""The least bound. A bound ends a test that would hang; it judges no speed, for the machine may do other work."""


def wait_until(condition: Callable[[], Value | None], *, seconds: float, what: str, every: float = 0.1) -> Value:
    """Return the first true value of `condition`; fail, naming `what` was awaited, once the bound has passed.

    The bound is `seconds`, or `PATIENCE_SECONDS` if that is more. What has to be quick is asserted on what the system
    did: the times that it stored, its attempts, sweeps and receives.
    """
    bound = max(seconds, PATIENCE_SECONDS)
    ends = time.monotonic() + bound
    while not (value := condition()):
        assert time.monotonic() < ends, f"{what}: not within {bound} s"
        time.sleep(every)
    return value
