"""Reports: what a node tells the monitor that started it. One JSON object a line, each line ended by CRLF.

{"msg": "createdTaskId", "taskId": 3}
{"msg": "switchedToGeneratorMode"}
{"msg": "generated", "total": 41}
{"msg": "processed", "total": 96, "errors": 5}
"""

import json
import sys
import threading
from typing import Any, TextIO

from leaseway.jobs import JobStatus
from worker.run import Run


class Reports:
    """Counts, and tells each change on standard output where there is a monitor to tell."""

    def __init__(self, *, told: bool, stream: TextIO | None = None) -> None:
        self._stream = (stream or sys.__stdout__) if told else None
        self._lock = threading.Lock()
        self._generated = 0
        self._processed = 0
        self._errors = 0

    def numbered(self, number: int) -> None:
        """The node has its number."""
        self._tell(msg="createdTaskId", taskId=number)

    def switched_to_generator(self) -> None:
        """The node has become the generator."""
        self._tell(msg="switchedToGeneratorMode")

    def switched_to_handler(self) -> None:
        """The node is the generator no more. The seed knows no such message: its generators only die."""
        self._tell(msg="switchedToHandlerMode")

    def generated(self) -> None:
        """One more message was produced."""
        with self._lock:
            self._generated += 1
            total = self._generated
        self._tell(msg="generated", total=total)

    def ended(self, run: Run) -> None:
        """A run ended. It counts where its outcome was recorded, and as an error where that was none."""
        if run.status is None:
            return
        with self._lock:
            self._processed += 1
            self._errors += run.status is not JobStatus.COMPLETED
            counts = {"total": self._processed, "errors": self._errors}
        self._tell(msg="processed", **counts)

    def _tell(self, **message: Any) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(message) + "\r\n")
            self._stream.flush()
        except OSError:
            self._stream = None  # the monitor is gone, and the end of standard input says so too
