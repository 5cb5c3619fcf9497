"""Takeovers: a job whose worker died runs in a separate process.

If the job kills that process too, the crash harms no other job. The worker function takes over last and alone for the
same reason; a node always runs other jobs.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence

from leaseway.jobs.queue import JobMessage
from leaseway.jobs.queue_names import Queue
from leaseway.logs import log
from worker.delivery import Delivery


class Takeovers:
    """The processes that take over for this node. Each ends with it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = [sys.executable, "-m", "worker.node", *arguments]
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def isolate(self, source: Queue, delivery: Delivery) -> None:
        """Have a separate process handle the message; returns when that has ended."""
        log.info("taken over in a separate process", extra={"action": "take_over", "job_id": delivery.message.job_id})
        command = [*self._arguments, "--take-over", format_message(source, delivery)]
        # Its standard input ends when this process does, however that happens.
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        with self._lock:
            self._running.add(process)
        try:
            if code := process.wait():
                log.warning("a takeover ended badly", extra={"action": "take_over", "status": code})
        finally:
            with self._lock:
                self._running.discard(process)

    @property
    def is_busy(self) -> bool:
        """Whether a takeover is running."""
        return bool(self._running)

    def end(self) -> None:
        """Make them give back what they run."""
        with self._lock:
            for process in self._running:
                process.terminate()


def format_message(source: Queue, delivery: Delivery) -> str:
    """Format a message as a command-line argument."""
    message = delivery.message
    return json.dumps([source.name, delivery.message_id, delivery.receipt, message.job_id, message.ttl_ms])


def parse_message(argument: str) -> tuple[Queue, Delivery]:
    """Parse what `format_message` wrote."""
    source, message_id, receipt, job_id, ttl_ms = json.loads(argument)
    return Queue(source), Delivery(message_id, receipt, JobMessage(job_id, ttl_ms))
