"""Slots: how many jobs a node runs at a time, over all its queues."""

import threading


class Slots:
    """A count of free slots. A lane reserves a slot before it receives a message, so every message can run at once."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting = 0
        self._changed = threading.Condition()
        self._closed = False

    def reserve(self, most: int) -> int:
        """Wait for a free slot and take up to `most`; 0 once the slots are closed."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._free or self._closed)
            self._waiting -= 1
            count = 0 if self._closed else min(most, self._free)
            self._free -= count
            return count

    def release(self, count: int = 1) -> None:
        """Give slots back."""
        with self._changed:
            self._free += count
            self._changed.notify(count)

    @property
    def has_waiters(self) -> bool:
        """Whether a lane waits for a slot. One that reserves a slot for a message that may come holds it up."""
        return self._waiting > 0

    def close(self) -> None:
        """Let `reserve` return 0 from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
