"""A queue and its event source mapping in virtual time: what SQS and Lambda do around the code that is shipped."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from benchmarks.volume.virtual_time import VirtualTime
from leaseway.jobs.queue import BATCH, Hiding, JobMessage, Received
from leaseway.jobs.queue_names import Queue

CALL_SECONDS = 0.01
"""Any call of SQS."""

INVOCATION_MS = 900_000
VISIBILITY_SECONDS = 900


class SimulatedQueue:
    """Messages, each visible from some moment on. More come from `backlog` when none is visible."""

    def __init__(self, time: VirtualTime, backlog: Iterator[JobMessage]) -> None:
        self._time = time
        self._backlog = backlog
        self._visible: list[tuple[float, int, bytes]] = []
        self._hidden: dict[str, bytes] = {}
        self._numbers = count()

    def take(self, most: int) -> list[Received]:
        """Hand out messages, and hide them until they are hidden otherwise or deleted."""
        messages: list[Received] = []
        while len(messages) < most and (body := self._next_body()) is not None:
            receipt = f"receipt-{next(self._numbers)}"
            self._hidden[receipt] = body
            messages.append(Received(receipt, receipt, body.decode()))
        return messages

    def _next_body(self) -> bytes | None:
        if self._visible and self._visible[0][0] <= self._time.now:
            return heapq.heappop(self._visible)[2]
        message = next(self._backlog, None)
        return None if message is None else msgspec.json.encode(message)

    # ---- In place of the functions of `leaseway.jobs.queue` -----------------------------------------------------

    def receive(self, _: Queue, *, most: int, wait_seconds: int, hidden_seconds: int) -> list[Received]:
        """Hand out up to ten messages; waits as long as asked if there are none."""
        self._time.sleep(CALL_SECONDS)
        messages = self.take(min(most, BATCH))
        if not messages:
            self._time.sleep(wait_seconds)
            messages = self.take(min(most, BATCH))
        return messages

    def hide(self, hidings: Sequence[Hiding], _: Queue) -> None:
        """Let messages appear again after some seconds. One call for ten."""
        self._time.sleep(CALL_SECONDS * -(-len(hidings) // BATCH))
        for hiding in hidings:
            if hiding.seconds == 0 and hiding.receipt in self._hidden:
                body = self._hidden.pop(hiding.receipt)
                heapq.heappush(self._visible, (self._time.now, next(self._numbers), body))

    def delete(self, receipts: Sequence[str], _: Queue) -> None:
        """Forget messages. One call for ten."""
        self._time.sleep(CALL_SECONDS * -(-len(receipts) // BATCH))
        for receipt in receipts:
            self._hidden.pop(receipt, None)
