"""Slots: how many jobs a node runs at a time, over all its queues."""

import threading


class Slots:
    """A count of free slots. A message is asked for only where a slot is kept for it: none is received in vain."""

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
            taken = 0 if self._closed else min(most, self._free)
            self._free -= taken
            return taken

    def release(self, count: int = 1) -> None:
        """Give slots back."""
        with self._changed:
            self._free += count
            self._changed.notify(count)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for one: who keeps a slot for a message that may come keeps others from work."""
        return self._waiting > 0

    def close(self) -> None:
        """Hand out no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
