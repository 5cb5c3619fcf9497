"""A type that returns at once, fails at once, or runs until the test lets it end."""

import threading
from collections.abc import Callable

import msgspec

from leaseway.jobs.types import JobContext, JobType

MOST_SECONDS = 60
_PAUSE_SECONDS = 0.01


class Quick(msgspec.Struct, forbid_unknown_fields=True):
    wait_ms: int = 0
    held: bool = False
    error: str | None = None


class Hold:
    """What the held jobs of this process wait for, however slow the machine is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset(lambda: True)

    def reset(self, is_over: Callable[[], bool]) -> None:
        """Let held jobs run until `is_over` returns true, and count from zero the jobs that return unheld."""
        self.is_over = is_over
        self.returned = 0

    def note_return(self) -> None:
        """Count a job that was not held."""
        with self._lock:
            self.returned += 1


HOLD = Hold()


def run(payload: Quick, context: JobContext) -> dict:
    context.wait(payload.wait_ms / 1000)
    if payload.error:
        raise RuntimeError(payload.error)
    if payload.held:
        _wait_for_the_end_of_the_hold(context)
    else:
        HOLD.note_return()
    return {"attempt": context.attempt}


def _wait_for_the_end_of_the_hold(context: JobContext) -> None:
    for _ in range(int(MOST_SECONDS / _PAUSE_SECONDS)):
        if HOLD.is_over():
            return
        context.wait(_PAUSE_SECONDS)
    raise TimeoutError(f"held for {MOST_SECONDS} s")


TYPE = JobType(name="QUICK", payload=Quick, run=run, summary="returns its attempt, or raises")
