"""What an executor can see and do while it runs."""

import threading

from leaseway import clock, objects
from leaseway.jobs.lease import Lease
from leaseway.jobs.progress import Progress
from worker.progress import ProgressWriter


class RunContext:
    """The executor's view of its run; implements `leaseway.jobs.JobContext`."""

    def __init__(self, lease: Lease) -> None:
        self.job_id = lease.job.id
        self.owner = lease.job.owner
        self.attempt = lease.job.attempts
        self.deadline = lease.deadline
        self.has_objects = False
        self.reports = ProgressWriter(lease, self.cancel)
        self._fence = lease.fence
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """True once the result would be discarded."""
        return self._cancelled.is_set() or clock.now_ms() >= self.deadline

    def remaining_seconds(self) -> float:
        """Time left until the deadline, never negative."""
        return max(0.0, (self.deadline - clock.now_ms()) / 1000)

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until cancelled; returns whether it was cancelled."""
        self._cancelled.wait(min(seconds, self.remaining_seconds()))
        return self.cancelled

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Report progress; the latest report is written at most once a second.

        Raises:
            ValueError: the fraction is no number.
        """
        self.reports.update(Progress.from_fraction(fraction, note))

    def store(self, name: str, content: bytes, content_type: str) -> str:
        """Store an object of the job under a name that is unique to this claim; returns its key."""
        self.has_objects = True
        return objects.put_of_claim(self.owner, self.job_id, self._fence, name, content, content_type)

    def cancel(self) -> None:
        """Let the executor know that its result would be discarded."""
        self._cancelled.set()
