"""A lane: one queue of a node. Jobs come as long as slots are free, and each is settled as soon as it ends.

    poll thread    slot free --receive, hidden for a lease--> claim --> run in a thread of its own
                                                                '--> its worker died: a process of its own
    keep thread    ended: message deleted, slot free; each third of a lease: heartbeats; deadlines

It is the worker function's `Watch`: claims, leases, deadlines and deletions are the same as on Lambda.
"""

import threading
import time
from collections.abc import Callable, Sequence

from leaseway.errors import UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.queue import Hiding, Queue
from leaseway.jobs.run import claim, finish
from leaseway.logs import log
from leaseway.settings import settings
from worker.batch import Received, Watch, stuck, until_next_deadline
from worker.node.slots import Slots
from worker.run import Run

_PAUSE_SECONDS = 1.0
"""Between two looks into an empty queue while others wait for slots, and after SQS did not answer."""

_CLAIMING_SECONDS = 2
"""A message is hidden so much longer than a lease when it is received: the claim takes its time."""

_LAST_WORDS_SECONDS = 2.0
"""How long a run that is writing its outcome is waited for when its job could not be given back."""

Isolate = Callable[[Queue, Received], None]
"""Have a message whose worker died handled by a process of its own. Returns when that has ended."""


class Lane(Watch):
    """One queue's jobs on this node. `on_end` is told of each run that ended, `isolate` of each takeover."""

    def __init__(
        self, worker: str, source: Queue, slots: Slots, *, isolate: Isolate, on_end: Callable[[Run], None]
    ) -> None:
        super().__init__(worker, source)
        self.source = source
        self._slots = slots
        self._isolate = isolate
        self._tell = on_end
        self._started: set[str] = set()
        self._flowing = False
        self._gate = threading.Event()
        self._gate.set()
        self._over = threading.Event()
        self._closed = threading.Event()
        self._most = 1 if source.keeps_order else queue.BATCH

    # ---- Taking messages ----------------------------------------------------------------------------------------

    def poll(self, wait_seconds: int) -> None:
        """Take messages while slots are free, until the lane is closed."""
        while not self._closed.is_set():
            self._gate.wait()
            # One slot waits for a message; where there was one, more are asked for at once.
            reserved = self._slots.reserve(self._most if self._flowing else 1)
            wait = 0 if self._flowing or self._slots.wanted else wait_seconds
            used = 0
            try:
                messages = self._received(reserved, wait) if reserved and self._gate.is_set() else []
                used = self._begin(self._parsed(messages))
            finally:
                self._slots.release(reserved - used)
            if not (messages or wait or self._flowing):
                self._closed.wait(_PAUSE_SECONDS)
            self._flowing = bool(messages)

    def _received(self, most: int, wait: int) -> Sequence[queue.Received]:
        hidden = settings().lease_seconds + claim.HIDING_MARGIN_MS // 1000 + _CLAIMING_SECONDS
        try:
            messages = queue.receive(self.source, most=most, wait_seconds=wait, hidden_seconds=hidden)
        except UnavailableError as problem:
            log.warning("nothing received", extra={"action": "receive", "error": str(problem.__cause__)})
            self._closed.wait(_PAUSE_SECONDS)
            return []
        if self._closed.is_set():
            queue.hide([Hiding(message.receipt, 0) for message in messages], self.source)
            return []
        return messages

    def _parsed(self, messages: Sequence[queue.Received]) -> list[Received]:
        received: list[Received] = []
        for message in messages:
            try:
                received.append(Received(message.message_id, message.receipt, queue.parse(message.body)))
            except queue.MalformedMessageError:
                log.error("not a job's message", extra={"action": "parse", "message_id": message.message_id})
                # It is shown again soon, so that it reaches the dead-letter queue within minutes.
                queue.hide([Hiding(message.receipt, settings().lease_seconds)], self.source)
        return received

    def _begin(self, records: Sequence[Received]) -> int:
        self._claim_all(records)
        started, self._started = self._started, set()
        abandoned, self._abandoned = self._abandoned, []
        hidings, self._hidings = self._hidings, []
        queue.hide(hidings, self.source)
        if self._settled:
            self._wake()
        for record, _ in abandoned:
            threading.Thread(target=self._run_apart, args=(record,), daemon=True).start()
        return len(started) + len(abandoned)

    def _start(self, run: Run) -> None:
        self._started.add(run.receipt)
        super()._start(run)

    def _run_apart(self, record: Received) -> None:
        try:
            self._isolate(self.source, record)
        finally:
            self._slots.release()

    def take_over(self, record: Received) -> None:
        """Claim this one job although its worker died. In a process that runs nothing else."""
        outcome = claim.claim(record.message.job_id, self._worker)
        if isinstance(outcome, claim.Abandoned):
            outcome = claim.take_over(outcome.job, self._worker)
        self._accept(record, outcome)
        self._give_back(self._abandoned)  # another took it over first, and died as well
        self._hide_all()

    # ---- Keeping them -------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Settle what ends and extend the leases of what runs, until the lane is over."""
        beat = settings().lease_seconds / 3
        next_beat = time.monotonic() + beat
        while not self._over.is_set():
            self._await_change(next_beat)
            self._cancel_overdue()
            self._settle()
            if time.monotonic() >= next_beat:
                self._beat()
                next_beat = time.monotonic() + beat

    def _await_change(self, next_beat: float) -> None:
        with self._changed:
            if self._over.is_set() or self._settled or any(run.ended for run in self._runs):
                return
            deadline = until_next_deadline(self._runs) if self._runs else next_beat
            self._changed.wait(min(max(0.0, next_beat - time.monotonic()), deadline))

    def _settle(self) -> None:
        with self._changed:
            ended = [run for run in self._runs if run.ended]
            self._runs = [run for run in self._runs if not run.ended]
        self._settled |= {run.receipt for run in ended if run.settled}
        self._keep_places(ended)
        self._delete_settled()
        self._settled -= self._deleted
        self._deleted.clear()
        for run in ended:
            self._tell(run)
        if ended:
            self._slots.release(len(ended))

    # ---- Ending -------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take no messages for a while; what runs goes on."""
        self._gate.clear()

    def resume(self) -> None:
        """Take messages again."""
        self._gate.set()

    def close(self) -> None:
        """Take no more messages; what is received at this moment is given back."""
        self._closed.set()
        self._gate.set()

    @property
    def busy(self) -> bool:
        """Whether a job runs that may still end."""
        return any(not stuck(run) for run in self._running())

    @property
    def stuck(self) -> bool:
        """Whether an executor goes on although its job has been ended for it."""
        return any(stuck(run) for run in self._running())

    def end(self) -> None:
        """Give back what still runs, settle the rest, and stop keeping."""
        left = [run for run in self._running() if not stuck(run)]
        returned = [run for run in left if _give_back(run)]
        for run in left:
            run.context.cancel()
        queue.hide([Hiding(run.receipt, 0) for run in returned], self.source)
        ends = time.monotonic() + _LAST_WORDS_SECONDS
        with self._changed:
            writing = [run for run in left if run not in returned]
            self._changed.wait_for(lambda: all(run.ended for run in writing), ends - time.monotonic())
        self._over.set()
        self._wake()

    def settle_last(self) -> None:
        """Delete what is still settled, once nobody keeps the lane."""
        self._cancel_overdue()
        self._collect()
        self._settle()


def _give_back(run: Run) -> bool:
    try:
        returned = finish.give_back(run.job)
    except Exception:
        log.exception("not given back; its lease will end", extra={"action": "give_back", "job_id": run.job.id})
        return False
    if returned:
        log.info("job given back", extra={"action": "give_back", "job_id": run.job.id, "fence": run.job.fence})
    return returned
