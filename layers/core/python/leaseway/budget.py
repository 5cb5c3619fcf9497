"""Budgets: how much one pass over many items may do."""

import time


class Budget:
    """A number of items and of seconds; a pass ends when either is used up, and the next one goes on."""

    def __init__(self, items: int, seconds: float) -> None:
        self.items_left = items
        self._ends = time.monotonic() + seconds

    def take(self) -> None:
        """Use one item."""
        self.items_left -= 1

    @property
    def is_spent(self) -> bool:
        """No item or no time is left."""
        return self.items_left <= 0 or time.monotonic() >= self._ends
