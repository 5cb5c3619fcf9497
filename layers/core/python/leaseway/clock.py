"""The one clock: every rule that depends on time asks here, so that a test can set it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_source: Callable[[], float] = time.time


def now_ms() -> int:
    """Milliseconds since the Unix epoch, UTC."""
    return int(_source() * 1000)


def seconds_until(moment_ms: int) -> int:
    """Whole seconds from now until a moment, rounded up; 0 if it has passed."""
    return max(0, whole_seconds(moment_ms - now_ms()))


def whole_seconds(milliseconds: int) -> int:
    """Convert milliseconds to seconds, rounded up."""
    return -(-milliseconds // 1000)


def monotonic() -> float:
    """Seconds of a clock that is never set back, for measuring how long something takes."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Pause the calling thread. Pauses between tries call it as `clock.sleep`, so that tests replace it here."""
    time.sleep(seconds)


@contextmanager
def fixed(source: Callable[[], float]) -> Iterator[None]:
    """Read the time (seconds since the epoch) from `source` while the block runs."""
    global _source  # noqa: PLW0603 - the module is the clock; tests set it here and nowhere else
    previous, _source = _source, source
    try:
        yield
    finally:
        _source = previous
