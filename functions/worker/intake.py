"""What an invocation receives by itself: more of its queue, for the slots that are free while other jobs run.

Without it nine finished jobs would leave nine slots idle, and billed, until the tenth has ended. An invocation must not
live longer for it, so a receive waits for a tenth of the time that the invocation has lasted, at the most.
"""

import time
from collections.abc import Sequence

from leaseway.errors import UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.queue_names import HIGH, LOW, NORMAL, Queue
from leaseway.logs import log
from leaseway.settings import settings
from worker.delivery import Delivery, parse_deliveries, receive_hidden

_SHARED = (NORMAL, HIGH, LOW)
"""Their mappings have batches of `WORKER_POOL_SIZE`. Other queues hand out one job a worker: for order, or a bound."""

_LONGEST_WAIT_SECONDS = 8
"""Below the read timeout of the clients, which is 10 s."""

_EMPTY_PAUSE_SECONDS = 1.0
"""After a receive that returned nothing, and before the first one unless the batch was full."""

_GATHERING_SECONDS = 0.1
"""While fewer than half of the slots are free, so that jobs that end one by one cost less than a receive each."""


class Intake:
    """Receives messages of one queue while it makes sense."""

    def __init__(self, source: Queue) -> None:
        self._source = source
        self._slots = settings().worker_pool_size if source in _SHARED else 0
        self._is_flowing = False
        self._began = time.monotonic()
        self._next = self._began + _EMPTY_PAUSE_SECONDS

    def note_received(self, count: int) -> None:
        """Note how many messages the invocation was handed: as many as it can run suggest that more wait."""
        self._is_flowing = count >= self._slots > 0
        if self._is_flowing:
            self._next = self._began

    def close(self) -> None:
        """Receive no more."""
        self._slots = 0
        self._is_flowing = False

    def receive(self, *, running: int, wait_at_most: float) -> Sequence[Delivery]:
        """Receive messages for the free slots: at most one call, and none if it is too early or nothing is free.

        If no job runs, the invocation only goes on while the queue hands out as much as there are slots for.
        """
        free = self._slots - running
        if free <= 0 or self.seconds_until_due(running) > 0 or not (running or self._is_flowing):
            return []
        wait = int(min(_LONGEST_WAIT_SECONDS, (time.monotonic() - self._began) / 10, wait_at_most)) if running else 0
        messages = self._call(free, wait)
        self._is_flowing = len(messages) >= free
        pause = _GATHERING_SECONDS if messages else _EMPTY_PAUSE_SECONDS
        self._next = time.monotonic() + pause
        return parse_deliveries(messages, self._source)

    def _call(self, most: int, wait_seconds: int) -> Sequence[queue.Received]:
        try:
            return receive_hidden(self._source, most=most, wait_seconds=wait_seconds)
        except UnavailableError as problem:
            log.warning("nothing received", extra={"action": "receive", "error": str(problem.__cause__)})
            return []

    def seconds_until_due(self, running: int) -> float:
        """Seconds until `receive` may call again; infinite while no slot is free."""
        free = self._slots - running
        if free <= 0:
            return float("inf")
        is_worth_it = self._is_flowing and free * 2 >= self._slots
        return 0.0 if is_worth_it else max(0.0, self._next - time.monotonic())
