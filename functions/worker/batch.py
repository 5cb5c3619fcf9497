"""A batch of messages: its jobs run side by side, each under its own lease, and no fate touches another.

    records --admit--> claim in parallel --> run --> settled: deleted
               |             |                 '---> not settled: hidden, reported failed
               |             '--> abandoned by a dead worker: one is taken over, alone and last; the rest go back
               '--> no time left for its TTL: given back at once

At each heartbeat one call extends the leases of the running, and one deletes the messages of the finished, so that a
long neighbour re-delivers nobody.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from leaseway import clock
from leaseway.jobs import queue
from leaseway.jobs.queue import Hiding, JobMessage
from leaseway.jobs.run import claim, finish
from leaseway.logs import log
from leaseway.settings import settings
from worker.run import Run

SETTLING_MS = 30_000
"""An invocation must have a job's TTL and so much more left, or the job is not claimed."""

OVERRUN_SECONDS = 2.0
"""An executor that is cancelled gets so long to return before the worker counts it as stuck."""


class Received(msgspec.Struct, frozen=True):
    """One record of the batch."""

    message_id: str
    receipt: str
    message: JobMessage


class Watch:
    """Jobs of one queue at work in this process: each claimed, kept under its lease, and settled when it ends.

    Whoever brings the messages, an invocation or a node, says when there are more and when to end.
    """

    def __init__(self, worker: str, source: queue.Queue) -> None:
        self._worker = worker
        self._source = source
        self._changed = threading.Condition()
        self._settled: set[str] = set()
        self._deleted: set[str] = set()
        self._runs: list[Run] = []
        self._abandoned: list[tuple[Received, claim.Abandoned]] = []
        self._hidings: list[Hiding] = []

    def _claim_all(self, records: Sequence[Received]) -> None:
        claimers = [threading.Thread(target=self._claim, args=(record,), daemon=True) for record in records]
        for thread in claimers:
            thread.start()
        for thread in claimers:
            thread.join()

    def _give_back(self, abandoned: Sequence[tuple[Received, claim.Abandoned]]) -> None:
        self._hidings += [Hiding(record.receipt, 0) for record, _ in abandoned]

    def _claim(self, record: Received) -> None:
        try:
            self._accept(record, claim.claim(record.message.job_id, self._worker))
        except Exception:
            # The message stays as it is; its visibility timeout brings it back.
            log.exception("claim failed", extra={"action": "claim", "job_id": record.message.job_id})

    def _accept(self, record: Received, outcome: claim.Outcome) -> None:
        match outcome:
            case claim.Claimed(job):
                self._start(Run(job, record.receipt, self._wake))
            case claim.Settled(reason):
                log.info("nothing to do", extra={"action": "drop", "job_id": record.message.job_id, "reason": reason})
                self._settled.add(record.receipt)
            case claim.NotYet(until, reason):
                log.info("not yet", extra={"action": "wait", "job_id": record.message.job_id, "reason": reason})
                self._hidings.append(Hiding(record.receipt, _seconds_until(until)))
            case claim.Abandoned():
                self._abandoned.append((record, outcome))

    def _start(self, run: Run) -> None:
        log.info("job claimed", extra={"action": "claim", "job_id": run.job.id, "attempt": run.job.attempts})
        with self._changed:
            self._runs.append(run)
        threading.Thread(target=run.execute, daemon=True).start()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _running(self) -> list[Run]:
        return [run for run in self._runs if not run.ended]

    def _hide_all(self) -> None:
        """One call hides the running until their lease's end and the refused until their turn."""
        hidings = [*self._hidings, *(hiding(run) for run in self._running())]
        self._hidings.clear()
        queue.hide(hidings, self._source)

    def _beat(self) -> None:
        self._collect()
        alive = [run for run in self._running() if not run.context.cancelled and _extend(run)]
        queue.hide([hiding(run) for run in alive], self._source)
        self._delete_settled()

    def _delete_settled(self) -> None:
        done = self._settled - self._deleted
        queue.delete(sorted(done), self._source)
        self._deleted |= done

    def _collect(self) -> None:
        self._settled |= {run.receipt for run in self._runs if run.settled}
        self._keep_places(self._runs)

    def _keep_places(self, runs: Sequence[Run]) -> None:
        """Hide the messages of jobs that keep an order and are tried again: nothing behind them may start before."""
        # Not before the run has ended: until then it decides by `waits_until` whether its message may be deleted.
        waits = [(run, run.waits_until) for run in runs if run.ended and run.waits_until is not None]
        queue.hide([Hiding(run.receipt, _seconds_until(until)) for run, until in waits], self._source)
        for run, _ in waits:
            run.waits_until = None

    def _cancel_overdue(self) -> None:
        for run in self._running():
            if run.overdue():
                run.context.cancel()
                if stuck(run) and not run.settled:
                    run.settled = _expire(run)


class Batch(Watch):
    """The messages of one invocation, all of one queue. `process` returns the ids of those that stay in it."""

    def __init__(self, worker: str, remaining_ms: Callable[[], int], source: queue.Queue) -> None:
        super().__init__(worker, source)
        self._remaining_ms = remaining_ms

    def process(self, received: Sequence[Received]) -> list[str]:
        """Run every job that can be claimed; returns the message ids to report as failed."""
        self._claim_all(self._admit(received))
        # Jobs that died together would wait for each other here: all but one go to other workers at once.
        self._give_back(self._abandoned[1:])
        self._hide_all()
        self._watch()
        self._take_over()
        self._leave_if_stuck()
        return [record.message_id for record in received if record.receipt not in self._settled]

    def _admit(self, received: Sequence[Received]) -> list[Received]:
        admitted = [record for record in received if self._has_time_for(record)]
        queue.hide([Hiding(record.receipt, 0) for record in received if record not in admitted], self._source)
        return admitted

    def _has_time_for(self, record: Received) -> bool:
        return self._remaining_ms() >= record.message.ttl_ms + SETTLING_MS

    def _watch(self) -> None:
        """Until every run has ended or is stuck: heartbeats, deadlines, deletions."""
        beat = settings().lease_seconds / 3
        next_beat = time.monotonic() + beat
        while waiting := [run for run in self._running() if not stuck(run)]:
            with self._changed:
                if all(not run.ended for run in waiting):
                    self._changed.wait(min(max(0.0, next_beat - time.monotonic()), until_next_deadline(waiting)))
            self._cancel_overdue()
            if time.monotonic() >= next_beat:
                self._beat()
                next_beat = time.monotonic() + beat
        self._cancel_overdue()  # one may have become stuck since the last look
        self._collect()

    def _take_over(self) -> None:
        """Alone: if the job kills this worker too, that crash is its own."""
        if not self._abandoned:
            return
        chosen, self._abandoned = self._abandoned[0], []
        record, abandoned = chosen
        if self._has_time_for(record) and not self._running():
            self._accept(record, claim.take_over(abandoned.job, self._worker))
            self._give_back(self._abandoned)  # another took it over first, and died as well
        else:
            self._give_back([chosen])
        self._hide_all()
        self._watch()

    def _leave_if_stuck(self) -> None:
        """An executor that outlives its deadline cannot be stopped, only left: settle the others, end the process."""
        if not self._running():
            return
        log.error("an executor outlived its deadline", extra={"action": "exit", "worker": self._worker})
        self._delete_settled()
        os._exit(1)


def _seconds_until(moment_ms: int) -> int:
    return max(0, -(-(moment_ms - clock.now_ms()) // 1000))


def hiding(run: Run) -> Hiding:
    """What keeps a running job's message hidden: until its lease has surely ended."""
    return Hiding(run.receipt, _seconds_until(run.lease_until + claim.HIDING_MARGIN_MS))


def until_next_deadline(runs: Sequence[Run]) -> float:
    """Seconds until the first of these runs is overdue; a tenth of one where it is already."""
    nearest = min(run.context.remaining_seconds() for run in runs)
    return nearest if nearest > 0 else 0.1


def stuck(run: Run) -> bool:
    """Whether the executor goes on although its deadline has passed and it was told."""
    return not run.ended and clock.now_ms() >= run.context.deadline + OVERRUN_SECONDS * 1000


def _extend(run: Run) -> bool:
    try:
        run.lease_until = finish.heartbeat(run.job)
    except finish.LeaseLostError:
        log.warning("lease lost", extra={"action": "heartbeat", "job_id": run.job.id, "fence": run.job.fence})
        run.context.cancel()
        return False
    except Exception:
        # The lease lasts for two more heartbeats; the next one tries again.
        log.exception("heartbeat failed", extra={"action": "heartbeat", "job_id": run.job.id})
        return False
    log.info("heartbeat", extra={"action": "heartbeat", "job_id": run.job.id, "fence": run.job.fence})
    return True


def _expire(run: Run) -> bool:
    try:
        return finish.expire(run.job)
    except Exception:
        log.exception("cancelling failed", extra={"action": "expire", "job_id": run.job.id})
        return False
