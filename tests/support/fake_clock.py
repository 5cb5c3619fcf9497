"""The clock for tests: it stands until a test moves it."""

from collections.abc import Iterator
from contextlib import contextmanager

from leaseway import clock

NEW_YEAR_2026 = 1_767_225_600.0  # 2026-01-01T00:00:00Z, on a whole minute


class FakeClock:
    """Seconds since the epoch, moved by hand, in both directions."""

    def __init__(self, seconds: float = NEW_YEAR_2026) -> None:
        self.seconds = seconds

    @property
    def ms(self) -> int:
        return int(self.seconds * 1000)

    def move(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        self.seconds += seconds + minutes * 60 + hours * 3600


@contextmanager
def set_clock(seconds: float = NEW_YEAR_2026) -> Iterator[FakeClock]:
    """Set the domain's clock to `seconds` while the block runs."""
    fake = FakeClock(seconds)
    with clock.fixed(lambda: fake.seconds):
        yield fake
