"""The messages of one invocation: their jobs run concurrently, and no job's failure affects another.

    deliveries --admit--> claim in parallel --> run --> message deleted, or left for another attempt
                  |             '--> abandoned by a dead worker: one is taken over, alone and last; the rest go back
                  '--> no time left for its TTL: given back at once

Each third of a lease the messages of running jobs are hidden until their leases end, and those of finished ones are
deleted, so that a long job causes no redelivery of its neighbours.
"""

import os
from collections.abc import Callable, Sequence

from leaseway import metrics
from leaseway.jobs import queue
from leaseway.jobs.queue import Queue
from leaseway.logs import log
from worker.delivery import Delivery
from worker.runner import Abandonment, JobRunner, show_again

SETTLING_MS = 30_000
"""An invocation must have a job's TTL plus this time left, or the job is not claimed."""


class Batch:
    """The messages of one invocation, all of one queue."""

    def __init__(self, worker: str, remaining_ms: Callable[[], int], source: Queue) -> None:
        self._worker = worker
        self._remaining_ms = remaining_ms
        self._source = source
        self._runner = JobRunner(worker, source)
        self._settled: set[str] = set()
        self._deleted: set[str] = set()

    def process(self, deliveries: Sequence[Delivery]) -> set[str]:
        """Run every job that can be claimed; returns the receipts of the messages that need no redelivery."""
        claims = self._runner.claim(self._admit(deliveries))
        # Jobs that died together would wait for each other here: all but one go to other workers at once.
        returned = [show_again(abandonment.delivery) for abandonment in claims.abandoned[1:]]
        self._runner.hide_running(*claims.refused, *returned)
        self._run_all()
        for abandonment in claims.abandoned[:1]:
            self._take_over(abandonment)
        self._exit_if_stuck()
        return self._settled

    def _admit(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        admitted = [delivery for delivery in deliveries if self._has_time_for(delivery)]
        queue.hide([show_again(delivery) for delivery in deliveries if delivery not in admitted], self._source)
        return admitted

    def _has_time_for(self, delivery: Delivery) -> bool:
        return self._remaining_ms() >= delivery.message.ttl_ms + SETTLING_MS

    def _run_all(self) -> None:
        """Keep the leases until every run has ended or is stuck."""
        while self._runner.is_busy:
            self._runner.wait()
            self._collect()
            if self._runner.hide_when_due():
                self._delete_settled()
        self._collect()

    def _collect(self) -> None:
        self._runner.cancel_overdue()
        self._settled.update(self._runner.collect().settled)

    def _delete_settled(self) -> None:
        queue.delete(sorted(self._settled - self._deleted), self._source)
        self._deleted |= self._settled

    def _take_over(self, abandonment: Abandonment) -> None:
        """Run it alone: if the job kills this worker too, the crash harms no other job."""
        if not self._has_time_for(abandonment.delivery) or self._runner.is_stuck:
            queue.hide([show_again(abandonment.delivery)], self._source)
            return
        claims = self._runner.take_over(abandonment)
        # Abandoned again: another worker took it over first, and died as well.
        self._runner.hide_running(*claims.refused, *(show_again(each.delivery) for each in claims.abandoned))
        self._run_all()

    def _exit_if_stuck(self) -> None:
        """End the process if an executor outlives its deadline: a thread cannot be stopped. Settles the others."""
        if self._runner.is_stuck:
            log.error("an executor outlived its deadline", extra={"action": "exit", "worker": self._worker})
            self._delete_settled()
            metrics.flush("worker")  # the handler, which does it otherwise, is not returned to
            os._exit(1)
