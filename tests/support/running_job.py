"""A job at work, for tests of executors."""

from leaseway import clock
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.lease import Lease
from worker.context import RunContext


class RunningJob(RunContext):
    """The context of a job that no table has; a test can cancel it. Notes the progress instead of writing it."""

    def __init__(self, *, owner: str = "anna", seconds: float = 60, attempt: int = 1) -> None:
        now, ttl_ms = clock.now_ms(), int(seconds * 1000)
        job = Job(
            id="0" * 31 + "1",
            type="SLEEP",
            payload={},
            owner=owner,
            status=JobStatus.RUNNING,
            ttl_ms=ttl_ms,
            attempts=attempt,
            max_attempts=attempt,
            created_at=now,
            updated_at=now,
        )
        super().__init__(Lease(job=job, fence=attempt, token="token", until=now + ttl_ms, deadline=now + ttl_ms))
        self.progress_reports: list[tuple[float, str | None]] = []

    def progress(self, fraction: float, note: str | None = None) -> None:
        self.progress_reports.append((fraction, note))
