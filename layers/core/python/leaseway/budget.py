"""Budgets: how much one pass over many items may do."""

from leaseway import clock


class Budget:
    """A number of items and of seconds; a pass ends when either is used up, and the next one goes on."""

    def __init__(self, items: int, seconds: float) -> None:
        self.items_left = items
        self._ends = clock.monotonic() + seconds

    def take(self, items: int = 1) -> None:
        """Use so many items."""
        self.items_left -= items

    @property
    def is_spent(self) -> bool:
        """No item or no time is left."""
        return self.items_left <= 0 or self.is_over

    @property
    def is_over(self) -> bool:
        """No time is left."""
        return clock.monotonic() >= self._ends
