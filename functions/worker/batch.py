"""One invocation: the messages it was handed, and those it receives itself while jobs run. No job affects another.

    deliveries --hide--> admit --> claim in parallel --> run --> message deleted, or left for another attempt
                  ^        |            '--> abandoned by a dead worker: one is taken over, alone and last; the rest go
                  |        '--> no time left for its TTL: given back at once
                  '-- received: a job runs, or the last receive was filled; slots are free; the longest TTL has time

Lambda receives messages for the queue's own timeout, which is never below the function's. So they are hidden for a
lease before anything else: if this process dies, they come back by then, whatever it was doing. Each third of a lease
the messages of running jobs are hidden until their leases end, and those of finished ones are deleted, so that a long
job causes no redelivery of its neighbours. Heartbeats are sent by the runs themselves.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

from leaseway import metrics
from leaseway.jobs import queue
from leaseway.jobs.queue_names import Queue
from leaseway.logs import log
from worker.delivery import Delivery
from worker.hiding import hide_while_claimed, hide_while_waiting, show_again
from worker.intake import Intake
from worker.runner import Abandonment, Claims, JobRunner

SETTLING_MS = 30_000
"""An invocation must have a job's TTL plus this time left, or the job is not claimed."""

_METRICS_SECONDS = 60


class Batch:
    """What one invocation runs, all of one queue."""

    def __init__(self, worker: str, remaining_ms: Callable[[], int], source: Queue) -> None:
        self._worker = worker
        self._remaining_ms = remaining_ms
        self._source = source
        self._runner = JobRunner(worker, source)
        self._intake = Intake(source)
        self._longest_ttl_ms = 0
        self._handed: set[str] = set()
        """Receipts that Lambda handed over: it deletes those that are returned as settled."""
        self._settled: set[str] = set()
        self._undeleted: set[str] = set()
        self._metrics_flushed = time.monotonic()

    def process(self, deliveries: Sequence[Delivery]) -> set[str]:
        """Run every job that can be claimed, and more of its queue; returns the receipts that need no redelivery."""
        self._handed = {delivery.receipt for delivery in deliveries}
        self._intake.note_received(len(deliveries))
        queue.hide([hide_while_claimed(delivery.receipt) for delivery in deliveries], self._source)
        claims = self._claim(deliveries)
        # Jobs that died together would wait for each other here: all but one go to other workers at once.
        abandonment = claims.abandoned[:1]
        returned = [show_again(each.delivery.receipt) for each in claims.abandoned[1:]]
        if abandonment:
            self._intake.close()  # it waits for those that run
        queue.hide([*claims.refused, *returned], self._source)
        self._run_all(abandonment)
        for each in abandonment:
            self._take_over(each)
        self._delete(self._undeleted - self._handed)
        self._exit_if_stuck()
        return self._settled

    # ---- Claiming -----------------------------------------------------------------------------------------------

    def _claim(self, deliveries: Sequence[Delivery]) -> Claims:
        admitted = [delivery for delivery in deliveries if self._has_time_for(delivery.message.ttl_ms)]
        if len(admitted) < len(deliveries):
            self._intake.close()  # or it would receive them again and again
            queue.hide(
                [show_again(delivery.receipt) for delivery in deliveries if delivery not in admitted], self._source
            )
        self._longest_ttl_ms = max([self._longest_ttl_ms, *(delivery.message.ttl_ms for delivery in admitted)])
        return self._runner.claim(admitted)

    def _has_time_for(self, ttl_ms: int) -> bool:
        return self._remaining_ms() >= ttl_ms + SETTLING_MS

    def _refill(self) -> bool:
        """Receive messages for the free slots and start their jobs; returns whether any was received.

        An abandoned job goes back: other jobs run here, and may for long. A worker that has none can take it over.
        """
        if self._runner.is_stuck or not self._has_time_for(self._longest_ttl_ms):
            self._intake.close()
        deliveries = self._intake.receive(running=self._runner.count, wait_at_most=self._runner.seconds_until_due)
        if not deliveries:
            return False
        claims = self._claim(deliveries)
        if claims.abandoned:
            self._intake.close()
        queue.hide([*claims.refused, *(show_again(each.delivery.receipt) for each in claims.abandoned)], self._source)
        return True

    def _take_over(self, abandonment: Abandonment) -> None:
        """Run it alone: if the job kills this worker too, the crash harms no other job."""
        if not self._has_time_for(abandonment.delivery.message.ttl_ms) or self._runner.is_stuck:
            queue.hide([show_again(abandonment.delivery.receipt)], self._source)
            return
        claims = self._runner.take_over(abandonment)
        # Abandoned again: another worker took it over first, and died as well.
        self._runner.hide_running(*claims.refused, *(show_again(each.delivery.receipt) for each in claims.abandoned))
        self._run_all()

    # ---- Settling -----------------------------------------------------------------------------------------------

    def _run_all(self, waiting: Sequence[Abandonment] = ()) -> None:
        """Settle what ends and receive more, until every run has ended or is stuck and nothing more is received."""
        while self._refill() or self._runner.is_busy:
            if self._runner.is_busy:
                self._runner.wait(self._intake.seconds_until_due(self._runner.count))
            self._settle()
            if self._runner.hide_when_due(*(hide_while_waiting(each.delivery.receipt) for each in waiting)):
                self._delete(self._undeleted)
                self._flush_metrics()
        self._settle()

    def _settle(self) -> None:
        self._runner.cancel_overdue()
        settled = set(self._runner.collect().settled)
        self._settled |= settled & self._handed
        self._undeleted |= settled
        if len(self._undeleted - self._handed) >= queue.BATCH:
            self._delete(self._undeleted)

    def _delete(self, receipts: set[str]) -> None:
        queue.delete(sorted(receipts), self._source)
        self._undeleted -= receipts

    def _flush_metrics(self) -> None:
        if time.monotonic() >= self._metrics_flushed + _METRICS_SECONDS:
            self._metrics_flushed = time.monotonic()
            metrics.flush("worker")

    def _exit_if_stuck(self) -> None:
        """End the process if an executor outlives its deadline: a thread cannot be stopped. Settles the others."""
        if self._runner.is_stuck:
            log.error("an executor outlived its deadline", extra={"action": "exit", "worker": self._worker})
            self._delete(self._undeleted)
            metrics.flush("worker")  # the handler, which does it otherwise, is not returned to
            sys.stdout.flush()  # which an exit without clean-up would not do
            os._exit(1)
