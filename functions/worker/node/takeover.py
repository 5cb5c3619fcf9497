"""Takeovers: a job whose worker died is run by a process of its own.

If the job kills this worker too, that crash is its own and harms no neighbour. The worker function takes over last and
alone for the same reason; a node is never alone.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence

from leaseway.jobs.queue import JobMessage, Queue
from leaseway.logs import log
from worker.batch import Received


class Takeovers:
    """The processes that take over for this node, each ended with it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = [sys.executable, "-m", "worker.node", *arguments]
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def isolate(self, source: Queue, record: Received) -> None:
        """Have a process of its own handle the message; returns when that has ended."""
        log.info("taken over apart", extra={"action": "take_over", "job_id": record.message.job_id})
        # Its standard input ends when this process does, however that happens.
        process = subprocess.Popen([*self._arguments, "--take-over", written(source, record)], stdin=subprocess.PIPE)
        with self._lock:
            self._running.add(process)
        try:
            if code := process.wait():
                log.warning("a takeover ended badly", extra={"action": "take_over", "status": code})
        finally:
            with self._lock:
                self._running.discard(process)

    @property
    def busy(self) -> bool:
        """Whether one is at work."""
        return bool(self._running)

    def end(self) -> None:
        """Have them give back what they run."""
        with self._lock:
            for process in self._running:
                process.terminate()


def written(source: Queue, record: Received) -> str:
    """A message as an argument of a command."""
    message = record.message
    return json.dumps([source.name, record.message_id, record.receipt, message.job_id, message.ttl_ms])


def read(argument: str) -> tuple[Queue, Received]:
    """The message that an argument names."""
    source, message_id, receipt, job_id, ttl_ms = json.loads(argument)
    return Queue(source), Received(message_id, receipt, JobMessage(job_id, ttl_ms))
