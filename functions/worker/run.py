"""One claimed job: its executor in a thread, the heartbeats that keep its lease in another, and how it ended."""

import itertools
import threading
import time
from collections.abc import Callable

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import clock, metrics
from leaseway.dynamodb.retry import Backoff
from leaseway.errors import UnavailableError
from leaseway.jobs import JobError, JobStatus, content
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import finish
from leaseway.jobs.types import JsonObject, PermanentJobError, job_type
from leaseway.logs import log
from worker.context import RunContext

OVERRUN_SECONDS = 2.0
"""A cancelled executor has this long to return before the worker counts it as stuck."""

_RECORDING = Backoff(first=0.5, longest=5.0)


class Ended(msgspec.Struct, frozen=True):
    """How a run ended, and what becomes of its message."""

    job_id: str
    receipt: str
    status: JobStatus | None = None
    """The job's status that this run recorded; None if it recorded nothing."""
    keep_until: int | None = None
    """If the message stays for the next attempt: when that may start (ms since the epoch)."""

    @property
    def settles_message(self) -> bool:
        """Whether the message may be deleted. Otherwise it comes back and finds the job as it is."""
        return self.status is not None and self.keep_until is None


class Run:
    """A claimed job on its way through an executor. `on_end` receives its end, once, in the executor's thread."""

    def __init__(self, lease: Lease, receipt: str, on_end: Callable[[Ended], None]) -> None:
        self.lease = lease
        self.job = lease.job
        self.receipt = receipt
        self.context = RunContext(lease)
        self._on_end = on_end
        self._over = threading.Event()

    def start(self) -> None:
        """Run the executor and record what came of it, in one thread; keep the lease in another."""
        threading.Thread(target=self.execute, daemon=True).start()
        threading.Thread(target=self._keep_lease, daemon=True).start()

    def execute(self) -> None:
        """Run the executor and record what came of it, in the caller's thread, without heartbeats."""
        started = time.monotonic()
        ended = Ended(self.job.id, self.receipt)
        try:
            ended = self._record_outcome()
            log.info("job left the worker", extra=self._facts("finish", ended.status, started))
            if ended.status is JobStatus.CANCELLED:
                metrics.note("LateResults")
        except LeaseLostError:
            metrics.note("LeasesLost")
            log.warning("lease lost, the result is not recorded", extra=self._facts("lease_lost", None, started))
        except Exception:
            # Nothing was recorded: the message stays, and the lease's end brings another worker.
            log.exception("the outcome was not recorded", extra=self._facts("finish", None, started))
        finally:
            self._over.set()
            self._on_end(ended)

    # ---- The lease ----------------------------------------------------------------------------------------------

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed."""
        return clock.now_ms() >= self.context.deadline

    @property
    def is_stuck(self) -> bool:
        """Whether the executor still runs although it was cancelled a while ago."""
        return clock.now_ms() >= self.context.deadline + OVERRUN_SECONDS * 1000

    def _keep_lease(self) -> None:
        """Send a heartbeat each third of a lease until the run has ended or its result would be discarded.

        Each run has a thread for it, so that no heartbeat waits for another job, for a claim or for the queue.
        """
        interval = self.lease.length_ms / 3_000
        # What a slow claim has used of its lease is made up for by an early heartbeat.
        pause = max(0.0, (self.lease.until - clock.now_ms()) / 1000 - 2 * interval)
        while not self._over.wait(pause) and not self.context.cancelled:
            pause = interval if self._extend_lease() else interval / 4

    def _extend_lease(self) -> bool:
        facts = {"action": "heartbeat", "job_id": self.job.id, "fence": self.job.fence}
        try:
            self.lease = self.lease.extend(is_repeated=True)
        except LeaseLostError:
            if not self._over.is_set():  # otherwise it was ended by this run itself
                log.warning("lease lost", extra=facts)
                self.context.cancel()
            return False
        except Exception:
            log.exception("heartbeat failed; the next one comes soon", extra=facts)
            return False
        log.info("heartbeat", extra=facts)
        return True

    def expire(self) -> bool:
        """Cancel the job because its time to live has passed; returns whether this call did it."""
        try:
            return finish.expire(self.lease)
        except Exception:
            log.exception("cancelling failed", extra={"action": "expire", "job_id": self.job.id})
            return False

    def give_back(self) -> bool:
        """Let another worker have the job at once; returns whether it was still ours to give."""
        facts = {"action": "give_back", "job_id": self.job.id, "fence": self.job.fence}
        try:
            returned = self.lease.give_back()
        except Exception:
            log.exception("not given back; its lease will end", extra=facts)
            return False
        if returned:
            log.info("job given back", extra=facts)
        return returned

    # ---- The executor -------------------------------------------------------------------------------------------

    def _record_outcome(self) -> Ended:
        try:
            result = self._run_executor()
        except JobError as failure:
            return self._record_failure(str(failure), permanent=isinstance(failure, PermanentJobError))
        except BaseException as failure:  # SystemExit and asyncio's CancelledError end an executor, not the worker
            log.exception("executor raised", extra={"action": "execute", "job_id": self.job.id})
            return self._record_failure(_describe(failure))
        return self._record_result(result)

    def _record_result(self, result: JsonObject) -> Ended:
        context = self.context
        try:
            status = self._record(
                lambda: finish.complete(self.lease, result, context.reports.latest, has_objects=context.has_objects)
            )
        except content.NotStorableError as problem:
            return self._record_failure(f"the result {problem}")
        except ClientError as refusal:
            if not _is_invalid(refusal):
                raise
            return self._record_failure(f"the result was refused: {refusal}")
        return Ended(self.job.id, self.receipt, status)

    def _record_failure(self, error: str, *, permanent: bool = False) -> Ended:
        run_after = clock.now_ms() + finish.backoff_ms(self.job)
        status = self._record(
            lambda: finish.fail(
                self.lease, error, run_after=run_after, has_objects=self.context.has_objects, permanent=permanent
            )
        )
        keeps_place = status is JobStatus.CREATED and Queue.of(self.job).keeps_order
        return Ended(self.job.id, self.receipt, status, keep_until=run_after if keeps_place else None)

    def _record(self, write: Callable[[], JobStatus]) -> JobStatus:
        """Write the outcome, again and again until the deadline: a throttled table must not cost the work.

        Heartbeats go on, since the run has not ended. Repeating is safe: a write that was applied is
        recognized by the lease's token.

        Raises:
            LeaseLostError: the job was finished, cancelled or claimed by another.
            botocore.exceptions.ClientError: DynamoDB finds the write invalid, or still failed at the deadline.
            botocore.exceptions.BotoCoreError: DynamoDB still did not answer at the deadline.
            UnavailableError: the bucket still did not take the result at the deadline.
        """
        for failures in itertools.count():
            try:
                return write()
            except (ClientError, BotoCoreError, UnavailableError) as failure:
                if _is_invalid(failure) or clock.now_ms() >= self.lease.deadline:
                    raise
                log.warning("recording the outcome again", extra={"action": "record", "job_id": self.job.id})
            _RECORDING.pause(min(failures, 10))
        raise AssertionError  # count() never ends

    def _run_executor(self) -> JsonObject:
        kind = job_type(self.job.type)
        if kind.run is None:
            raise JobError(f"jobs of type {kind.name} are for workers that claim them over HTTP")
        try:
            return kind.run(kind.parse(content.load_payload(self.job)), self.context)
        finally:
            self.context.reports.end()

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


def _is_invalid(failure: Exception) -> bool:
    """Whether DynamoDB will never take the write. Any other refusal, even of access, may pass before the deadline."""
    return isinstance(failure, ClientError) and failure.response["Error"]["Code"] == "ValidationException"


def _describe(failure: BaseException) -> str:
    try:
        return f"{type(failure).__name__}: {failure}"
    except Exception:  # its text is made by code of its own
        return type(failure).__name__
