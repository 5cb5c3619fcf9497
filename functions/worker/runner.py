"""Running the jobs of one queue in this process: a Lambda invocation and a node do it alike.

deliveries --claim--> running --> ended --collect--> its message may be deleted
               |         |                '--> hidden until the next attempt, if its queue keeps an order
               |         '--each third of a lease--> heartbeat: lease extended; message hidden until the lease's end
               |--> finished before, or held under another message: its message may be deleted
               |--> refused: to be hidden until the job may be claimed
               '--> abandoned by a dead worker: to be taken over, or shown to another worker
"""

import random
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from leaseway.jobs import queue
from leaseway.jobs.lease import Lease
from leaseway.jobs.queue import Hiding
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run.claim import Abandoned, Claimed, NotYet, Outcome, Settled
from leaseway.jobs.run.claim import claim as claim_job
from leaseway.jobs.run.claim import take_over as take_over_job
from leaseway.logs import log
from leaseway.settings import settings
from worker.delivery import Delivery
from worker.hiding import hide_until, hide_while_leased, show_again
from worker.run import Ended, Run

_OVERDUE_POLL_SECONDS = 0.1
_CLAIM_AGAIN_SECONDS = (5, 15)


class Abandonment(NamedTuple):
    """A message whose job was abandoned by a dead worker."""

    delivery: Delivery
    lease: Lease


class Claims(msgspec.Struct):
    """What became of some deliveries. The messages of finished jobs are among the next `collect`."""

    started: list[Run] = []
    refused: list[Hiding] = []
    abandoned: list[Abandonment] = []


class Collected(NamedTuple):
    """What has happened since the last `collect`."""

    ended: list[Ended]
    settled: list[str]
    """Receipts of messages that may be deleted."""


class JobRunner:
    """Jobs of one queue that run in this process, each under its lease. Safe to use from several threads."""

    def __init__(self, worker: str, source: Queue) -> None:
        self._worker = worker
        self._source = source
        self._changed = threading.Condition()
        self._runs: dict[str, Run] = {}
        """The running, by the receipt of their message."""
        self._ended: list[Ended] = []
        self._settled: list[str] = []
        self._expired: set[str] = set()
        """Receipts of stuck runs whose jobs have been cancelled."""
        self._stopped = False
        self._next_hiding = time.monotonic() + _first_hiding_seconds(settings().lease_seconds * 1000)

    # ---- Claiming -----------------------------------------------------------------------------------------------

    def claim(self, deliveries: Sequence[Delivery]) -> Claims:
        """Claim the jobs of some messages, all at the same time, and start those that were granted."""
        claims = Claims()
        threads = [threading.Thread(target=self._claim, args=(each, claims), daemon=True) for each in deliveries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The messages of the others are hidden long enough since they were received.
        self._hide([run for run in claims.started if run.job.type_lease_ms is not None])
        return claims

    def take_over(self, abandonment: Abandonment) -> Claims:
        """Claim a job whose worker died, and start it if that was granted."""
        claims = Claims()
        self._claim(abandonment.delivery, claims, abandonment.lease)
        return claims

    def _claim(self, delivery: Delivery, claims: Claims, abandoned: Lease | None = None) -> None:
        job_id, message_id = delivery.message.job_id, delivery.message_id
        try:
            if abandoned is None:
                outcome = claim_job(job_id, self._worker, message_id=message_id)
            else:
                outcome = take_over_job(abandoned, self._worker, message_id=message_id)
            self._accept(delivery, outcome, claims)
        except Exception:
            # Seconds, not the queue's own timeout: a throttled table recovers long before that has passed.
            log.exception("claim failed", extra={"action": "claim", "job_id": job_id})
            claims.refused.append(Hiding(delivery.receipt, random.randint(*_CLAIM_AGAIN_SECONDS)))  # noqa: S311 - jitter

    def _accept(self, delivery: Delivery, outcome: Outcome, claims: Claims) -> None:
        job_id = delivery.message.job_id
        match outcome:
            case Claimed(lease):
                claims.started.append(self._start(Run(lease, delivery.receipt, self._end)))
            case Settled(reason):
                log.info("nothing to do", extra={"action": "drop", "job_id": job_id, "reason": reason})
                self._settle(delivery.receipt)
            case NotYet(reason=reason, is_duplicate=True) if not self._source.keeps_order:
                log.info("duplicate message", extra={"action": "drop", "job_id": job_id, "reason": reason})
                self._settle(delivery.receipt)
            case NotYet(until, reason):
                # A duplicate too if order is kept: it may be all that keeps the next job of its group waiting.
                log.info("not yet", extra={"action": "wait", "job_id": job_id, "reason": reason})
                claims.refused.append(hide_until(delivery.receipt, until))
            case Abandoned(lease):
                claims.abandoned.append(Abandonment(delivery, lease))

    def _start(self, run: Run) -> Run:
        log.info("job claimed", extra={"action": "claim", "job_id": run.job.id, "attempt": run.job.attempts})
        first_hiding = time.monotonic() + _first_hiding_seconds(run.lease.length_ms)
        with self._changed:
            self._runs[run.receipt] = run
            self._next_hiding = min(self._next_hiding, first_hiding)
            self._changed.notify_all()
        run.start()
        return run

    # ---- Watching -----------------------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a job runs that may still end."""
        return any(not run.is_stuck for run in self._running())

    @property
    def is_stuck(self) -> bool:
        """Whether an executor goes on although its deadline has passed."""
        return any(run.is_stuck for run in self._running())

    @property
    def count(self) -> int:
        """How many jobs run, stuck ones included."""
        return len(self._running())

    def wait(self, at_most: float = float("inf")) -> None:
        """Wait until there is something to collect, messages are due to be hidden, a deadline passes, or `stop`."""
        with self._changed:
            if not (self._stopped or self._settled or self._ended):
                self._changed.wait(min(at_most, self._seconds_until_due()))

    @property
    def seconds_until_due(self) -> float:
        """Seconds until messages are due to be hidden or a deadline passes; 0 if something is to be collected."""
        with self._changed:
            return 0.0 if self._settled or self._ended else self._seconds_until_due()

    def cancel_overdue(self) -> None:
        """Cancel what has passed its deadline. The job of an executor that ignores that is ended for it."""
        for run in self._running():
            if run.is_overdue:
                run.context.cancel()
            if run.is_stuck and run.receipt not in self._expired and run.expire():
                self._expired.add(run.receipt)
                self._settle(run.receipt)

    def collect(self) -> Collected:
        """Take what has ended since the last call. Messages that keep an order's place are hidden here."""
        with self._changed:
            ended, self._ended = self._ended, []
            settled, self._settled = self._settled, []
        settled += [end.receipt for end in ended if end.settles_message]
        # Nothing behind the message of a job that keeps an order may start before its next attempt.
        hidings = [hide_until(end.receipt, end.keep_until) for end in ended if end.keep_until is not None]
        queue.hide(hidings, self._source)
        return Collected(ended, settled)

    def hide_when_due(self, *others: Hiding) -> bool:
        """Hide the messages of running jobs again if a third of the shortest lease has passed; returns whether it has.

        `others` are hidden in the same call.
        """
        with self._changed:
            if time.monotonic() < self._next_hiding:
                return False
            lengths = [settings().lease_seconds * 1000, *(run.lease.length_ms for run in self._runs.values())]
            self._next_hiding = time.monotonic() + min(lengths) / 3_000
        self.hide_running(*others)
        return True

    def hide_running(self, *others: Hiding) -> None:
        """Hide the messages of running jobs until their leases' end, together with some other messages: one call."""
        self._hide(self._running(), others)

    def _hide(self, runs: Sequence[Run], others: Sequence[Hiding] = ()) -> None:
        running = [run for run in self._running() if run in runs]
        hidings = [hide_while_leased(run.receipt, run.lease.until) for run in running]
        queue.hide([*others, *hidings], self._source)

    # ---- Ending -------------------------------------------------------------------------------------------------

    def give_back_running(self, last_words_seconds: float) -> None:
        """Give running jobs to other workers at once.

        A run whose job cannot be given back is writing its outcome: it has that long to finish.
        """
        left = [run for run in self._running() if not run.is_stuck]
        returned = [run for run in left if run.give_back()]
        for run in left:
            run.context.cancel()
        queue.hide([show_again(run.receipt) for run in returned], self._source)
        writing = [run for run in left if run not in returned]
        with self._changed:
            self._changed.wait_for(lambda: all(run.receipt not in self._runs for run in writing), last_words_seconds)

    def stop(self) -> None:
        """Let `wait` return at once from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    # ---- Its own state ------------------------------------------------------------------------------------------

    def _running(self) -> list[Run]:
        with self._changed:
            return list(self._runs.values())

    def _end(self, ended: Ended) -> None:
        with self._changed:
            del self._runs[ended.receipt]
            self._ended.append(ended)
            self._changed.notify_all()

    def _settle(self, receipt: str) -> None:
        with self._changed:
            self._settled.append(receipt)
            self._changed.notify_all()

    def _seconds_until_due(self) -> float:
        """Seconds until the next hiding or deadline; a short while if a deadline has passed."""
        until_hiding = max(0.0, self._next_hiding - time.monotonic())
        busy = [run.context for run in self._runs.values() if not run.is_stuck]
        return min([until_hiding, *(context.remaining_seconds() or _OVERDUE_POLL_SECONDS for context in busy)])


def _first_hiding_seconds(lease_ms: int) -> float:
    """Seconds until a little after the first heartbeat, so that most leases are new when their messages are hidden."""
    return lease_ms / 3_000 * 1.1
