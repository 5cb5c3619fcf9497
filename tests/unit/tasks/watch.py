"""A clock for tests."""


class Watch:
    """Seconds since the epoch, moved by hand, in both directions."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @property
    def ms(self) -> int:
        return int(self.seconds * 1000)

    def move(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        self.seconds += seconds + minutes * 60 + hours * 3600
