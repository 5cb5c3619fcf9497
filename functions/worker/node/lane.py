"""A lane: one queue of a node. It takes messages while slots are free, and settles each job as soon as it ends.

poll thread    slot free --receive, hidden for a lease--> claim --> run in a thread
                                                            '--> its worker died: taken over in another process
keep thread    ended: message deleted, slot free; each third of a lease: messages hidden; deadlines
"""

import threading
from collections.abc import Callable, Sequence

from leaseway.errors import UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.queue_names import Queue
from leaseway.logs import log
from worker.delivery import Delivery, parse_deliveries, receive_hidden
from worker.hiding import show_again
from worker.node.slots import Slots
from worker.run import Ended
from worker.runner import JobRunner

_PAUSE_SECONDS = 1.0
"""Between two requests to an empty queue while other lanes wait for slots, and after SQS did not answer."""

_LAST_WORDS_SECONDS = 2.0
"""How long to wait for runs that are writing their outcome when the lane ends."""

Isolate = Callable[[Queue, Delivery], None]
"""Have another process take over a message whose worker died. Returns when that process has ended."""


class Lane:
    """One queue's jobs on this node. `on_end` receives each end of a run, `isolate` each takeover."""

    def __init__(
        self, worker: str, source: Queue, slots: Slots, *, isolate: Isolate, on_end: Callable[[Ended], None]
    ) -> None:
        self.source = source
        self._runner = JobRunner(worker, source)
        self._slots = slots
        self._isolate = isolate
        self._on_end = on_end
        self._is_flowing = False
        self._gate = threading.Event()
        self._gate.set()
        self._closed = threading.Event()
        self._batch_size = 1 if source.keeps_order else queue.BATCH

    # ---- Taking messages ----------------------------------------------------------------------------------------

    def poll(self, wait_seconds: int) -> None:
        """Take messages while slots are free, until the lane is closed."""
        while not self._closed.is_set():
            self._gate.wait()
            # While a queue seems empty one slot waits for its next message; more are reserved once one came.
            reserved = self._slots.reserve(self._batch_size if self._is_flowing else 1)
            wait = 0 if self._is_flowing or self._slots.has_waiters else wait_seconds
            used = 0
            try:
                messages = self._receive(reserved, wait) if reserved and self._gate.is_set() else []
                used = self._begin(parse_deliveries(messages, self.source))
            finally:
                self._slots.release(reserved - used)
            if not (messages or wait or self._is_flowing):
                self._closed.wait(_PAUSE_SECONDS)
            self._is_flowing = bool(messages)

    def _receive(self, most: int, wait: int) -> Sequence[queue.Received]:
        try:
            messages = receive_hidden(self.source, most=most, wait_seconds=wait)
        except UnavailableError as problem:
            log.warning("nothing received", extra={"action": "receive", "error": str(problem.__cause__)})
            self._closed.wait(_PAUSE_SECONDS)
            return []
        if self._closed.is_set():
            queue.hide([show_again(message.receipt) for message in messages], self.source)
            return []
        return messages

    def _begin(self, deliveries: Sequence[Delivery]) -> int:
        """Claim and start jobs; returns how many slots they use."""
        claims = self._runner.claim(deliveries)
        queue.hide(claims.refused, self.source)
        for abandonment in claims.abandoned:
            threading.Thread(target=self._run_isolated, args=(abandonment.delivery,), daemon=True).start()
        return len(claims.started) + len(claims.abandoned)

    def _run_isolated(self, delivery: Delivery) -> None:
        try:
            self._isolate(self.source, delivery)
        finally:
            self._slots.release()

    def take_over(self, delivery: Delivery) -> None:
        """Claim one job although its worker died, in a process that runs nothing else."""
        claims = self._runner.claim([delivery])
        for abandonment in claims.abandoned:
            claims = self._runner.take_over(abandonment)
        # Abandoned again: another worker took it over first, and died as well.
        returned = [show_again(abandonment.delivery.receipt) for abandonment in claims.abandoned]
        self._runner.hide_running(*claims.refused, *returned)

    # ---- Keeping the leases -------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Settle what ends and keep the messages of what runs hidden, until the lane ends."""
        while not self._runner.is_stopped:
            self._runner.wait()
            self.settle()
            self._runner.hide_when_due()

    def settle(self) -> None:
        """Delete the messages of jobs that have ended, and free their slots."""
        self._runner.cancel_overdue()
        collected = self._runner.collect()
        queue.delete(collected.settled, self.source)
        for ended in collected.ended:
            self._on_end(ended)
        if collected.ended:
            self._slots.release(len(collected.ended))

    # ---- Ending -------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take no messages for a while; running jobs go on."""
        self._gate.clear()

    def resume(self) -> None:
        """Take messages again."""
        self._gate.set()

    def close(self) -> None:
        """Take no more messages; those being received are given back."""
        self._closed.set()
        self._gate.set()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs that may still end."""
        return self._runner.is_busy

    @property
    def is_stuck(self) -> bool:
        """Whether an executor goes on although its deadline has passed."""
        return self._runner.is_stuck

    def end(self) -> None:
        """Give back what still runs, and stop keeping. `settle` once more when the keep thread has ended."""
        self._runner.give_back_running(_LAST_WORDS_SECONDS)
        self._runner.stop()
