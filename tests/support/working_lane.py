"""A node's lane at work, with the threads that the node would give it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leaseway.jobs.queue_names import NORMAL, Queue
from worker.delivery import Delivery
from worker.node.lane import Lane
from worker.node.slots import Slots
from worker.run import Ended


class RunningLane:
    """A lane with its two threads."""

    def __init__(self, slots: int = 4, source: Queue = NORMAL) -> None:
        self.ended: list[Ended] = []
        self.isolated: list[Delivery] = []
        self.slots = Slots(slots)
        self.lane = Lane("node", source, self.slots, isolate=self._isolate, on_end=self.ended.append)
        self._threads = [
            threading.Thread(target=self.lane.poll, args=(1,), daemon=True),
            threading.Thread(target=self.lane.keep, daemon=True),
        ]

    def _isolate(self, _: Queue, delivery: Delivery) -> None:
        self.isolated.append(delivery)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.lane.close()
        self.slots.close()
        self._threads[0].join(10)
        self.lane.end()
        self._threads[1].join(10)
        self.lane.settle()
        assert not any(thread.is_alive() for thread in self._threads)


@contextmanager
def run_lane(**options: Any) -> Iterator[RunningLane]:
    lane = RunningLane(**options)
    lane.start()
    try:
        yield lane
    finally:
        lane.stop()
