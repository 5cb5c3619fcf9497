"""Writes the progress of a run while its executor works: the latest report, at most once a second."""

import threading
import time
from collections.abc import Callable

from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.progress import Progress
from leaseway.logs import log

EVERY_SECONDS = 1.0
"""Between two writes, and before the first: the progress of a shorter job is never written."""


class ProgressWriter:
    """Writes the progress of one run, in a thread that starts with the first report.

    A thread, because neither the executor nor the heartbeats may wait for a slow table.
    """

    def __init__(self, lease: Lease, on_lost: Callable[[], None]) -> None:
        self.latest: Progress | None = None
        self._lease = lease
        self._on_lost = on_lost
        self._changed = threading.Condition()
        self._started = False
        self._ended = False

    def update(self, progress: Progress) -> None:
        """Set the latest progress; returns at once."""
        with self._changed:
            self.latest = progress
            self._changed.notify_all()
            if self._started or self._ended:
                return
            self._started = True
        threading.Thread(target=self._write_all, daemon=True).start()

    def end(self) -> None:
        """Stop writing: the last progress is recorded with the end of the run."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _write_all(self) -> None:
        written: Progress | None = None
        next_write = time.monotonic() + EVERY_SECONDS
        while (progress := self._wait_for_next(written, next_write)) is not None:
            written = progress if self._write(progress) else written
            next_write = time.monotonic() + EVERY_SECONDS

    def _wait_for_next(self, written: Progress | None, not_before: float) -> Progress | None:
        """Wait for progress that is not yet written and may be; None when the run has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.latest != written)
            self._changed.wait_for(lambda: self._ended, max(0.0, not_before - time.monotonic()))
            return None if self._ended else self.latest

    def _write(self, progress: Progress) -> bool:
        try:
            self._lease.report(progress)
        except LeaseLostError:
            self.end()
            self._on_lost()
        except Exception:
            # The next write, a second later, makes up for it; the executor is not disturbed.
            log.exception("progress not written", extra={"action": "progress", "job_id": self._lease.job.id})
            return False
        return True
