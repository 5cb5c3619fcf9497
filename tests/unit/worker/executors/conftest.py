"""What an executor's test needs: a context as the worker gives it, and a payload through the type's own schema."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from leaseway import clock, objects
from leaseway.jobs.types import JsonObject, job_type


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


@pytest.fixture
def job() -> RunningJob:
    return RunningJob()


@pytest.fixture
def new_job() -> type[RunningJob]:
    return RunningJob


@pytest.fixture
def run_job(job: RunningJob) -> Callable[..., JsonObject]:
    """Create and run: the payload is checked as at creation, then executed."""

    def create_and_run(name: str, payload: dict[str, Any], context: RunningJob = job) -> JsonObject:
        declared = job_type(name)
        parsed = declared.parse(payload)
        if declared.check:
            declared.check(parsed, context.owner)
        return declared.run(parsed, context)

    return create_and_run
