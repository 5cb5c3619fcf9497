"""The one clock: every rule that depends on time asks here, so that a test can set it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_source: Callable[[], float] = time.time


def now_ms() -> int:
    """Milliseconds since the Unix epoch, UTC."""
    return int(_source() * 1000)


@contextmanager
def fixed(source: Callable[[], float]) -> Iterator[None]:
    """Read the time (seconds since the epoch) from `source` while the block runs."""
    global _source  # noqa: PLW0603 - the module is the clock; tests set it here and nowhere else
    previous, _source = _source, source
    try:
        yield
    finally:
        _source = previous
