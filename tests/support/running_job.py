"""A job at work, for tests of executors."""

import threading
import time

from leaseway import clock, objects


class RunningJob:
    """A JobContext on the real clock, which a test can cancel."""

    def __init__(self, *, owner: str = "anna", seconds: float = 60) -> None:
        self.job_id, self.owner, self.attempt = "0" * 31 + "1", owner, 1
        self.deadline = clock.now_ms() + int(seconds * 1000)
        self._end = time.monotonic() + seconds
        self._stop = threading.Event()
        self.told: list[tuple[float, str | None]] = []

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set() or self.remaining_seconds() == 0

    def cancel(self) -> None:
        self._stop.set()

    def remaining_seconds(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def wait(self, seconds: float) -> bool:
        self._stop.wait(min(seconds, self.remaining_seconds()))
        return self.cancelled

    def progress(self, fraction: float, note: str | None = None) -> None:
        self.told.append((fraction, note))

    def store(self, name: str, content: bytes, content_type: str) -> str:
        return objects.put_of_claim(self.owner, self.job_id, self.attempt, name, content, content_type)
