"""Time that stands until a test moves it."""

import time
from collections.abc import Iterator

import pytest

from leaseway import clock


class StoppedClock:
    """Seconds since the epoch, from now on only ever moved by the test."""

    def __init__(self) -> None:
        self.seconds = float(int(time.time()))

    def __call__(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def stopped() -> Iterator[StoppedClock]:
    source = StoppedClock()
    with clock.fixed(source):
        yield source
