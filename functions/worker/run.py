"""One claimed job on its way through an executor, in a thread of its own."""

import threading
import time
from collections.abc import Callable

from leaseway import clock, metrics, objects
from leaseway.jobs import Job, JobError, JobStatus, content
from leaseway.jobs.queue import Queue
from leaseway.jobs.run import finish, progress
from leaseway.jobs.types import JsonObject, job_type
from leaseway.logs import log
from worker.progress import ProgressWriter


class RunContext:
    """What the executor sees of its run; implements `leaseway.jobs.JobContext`."""

    def __init__(self, job: Job) -> None:
        assert job.deadline is not None  # noqa: S101 - a claim sets it
        self.job_id = job.id
        self.owner = job.owner
        self.attempt = job.attempts
        self.deadline = job.deadline
        self.has_objects = False
        self._fence = job.fence
        self._unwanted = threading.Event()
        self.reports = ProgressWriter(job, self.cancel)

    @property
    def cancelled(self) -> bool:
        """True once the result is no longer wanted."""
        return self._unwanted.is_set() or clock.now_ms() >= self.deadline

    def remaining_seconds(self) -> float:
        """Time left until the deadline, never negative."""
        return max(0.0, (self.deadline - clock.now_ms()) / 1000)

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until cancelled; returns whether it was cancelled."""
        self._unwanted.wait(min(seconds, self.remaining_seconds()))
        return self.cancelled

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Tell how far the work is; the latest is written once a second.

        Raises:
            ValueError: the fraction is no number.
        """
        self.reports.tell(progress.told(fraction, note))

    def store(self, name: str, content: bytes, content_type: str) -> str:
        """Keep an object of the job under a name of this claim's own; returns its key."""
        self.has_objects = True
        return objects.put_of_claim(self.owner, self.job_id, self._fence, name, content, content_type)

    def cancel(self) -> None:
        """Tell the executor that its result is no longer wanted."""
        self._unwanted.set()


class Run:
    """A claimed job, its message and its thread. `settled` turns true when the message may be deleted."""

    def __init__(self, job: Job, receipt: str, on_end: Callable[[], None]) -> None:
        self.job = job
        self.receipt = receipt
        self.lease_until = job.lease_until or 0
        self.context = RunContext(job)
        self.status: JobStatus | None = None
        """What this run made of its job; None until it has recorded something."""
        self.settled = False
        self.waits_until: int | None = None
        """Where its message stays for the next attempt: when that may start (ms since the epoch)."""
        self.ended = False
        self._on_end = on_end

    def execute(self) -> None:
        """Run the executor and record what came of it. Never raises."""
        started = time.monotonic()
        try:
            self.status = self._outcome()
            self.settled = self.waits_until is None
            log.info("job left the worker", extra=self._facts("finish", self.status, started))
            if self.status is JobStatus.CANCELLED:
                metrics.note("LateResults")
        except finish.LeaseLostError:
            metrics.note("LeasesLost")
            log.warning("lease lost, the result is not recorded", extra=self._facts("lease_lost", None, started))
        except Exception:
            # Nothing was recorded: the message stays, and the lease's end brings another worker.
            log.exception("the outcome was not recorded", extra=self._facts("finish", None, started))
        finally:
            self.ended = True
            self._on_end()

    def _outcome(self) -> JobStatus:
        try:
            result = self._executed()
        except JobError as failure:
            return self._failed(str(failure))
        except Exception as failure:
            log.exception("executor raised", extra={"action": "execute", "job_id": self.job.id})
            return self._failed(f"{type(failure).__name__}: {failure}")
        last = self.context.reports.latest
        return finish.complete(self.job, result, last, has_objects=self.context.has_objects)

    def _failed(self, error: str) -> JobStatus:
        run_after = clock.now_ms() + finish.backoff_ms(self.job.attempts)
        status = finish.fail(self.job, error, run_after=run_after, has_objects=self.context.has_objects)
        if status is JobStatus.CREATED and Queue.of(self.job).keeps_order:
            self.waits_until = run_after
        return status

    def _executed(self) -> JsonObject:
        kind = job_type(self.job.type)
        if kind.run is None:
            raise JobError(f"jobs of type {kind.name} are for workers that claim them over HTTP")
        try:
            return kind.run(kind.parse(content.payload_of(self.job)), self.context)
        finally:
            self.context.reports.end()

    def overdue(self) -> bool:
        """Whether the deadline passed."""
        return clock.now_ms() >= self.context.deadline

    def _facts(self, action: str, status: JobStatus | None, started: float) -> dict[str, object]:
        return {
            "action": action,
            "job_id": self.job.id,
            "type": self.job.type,
            "status": status.value if status else None,
            "attempt": self.job.attempts,
            "fence": self.job.fence,
            "duration_ms": round((time.monotonic() - started) * 1000),
        }
