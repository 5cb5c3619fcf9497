"""Reports: a node's messages to the monitor that started it. One JSON object per line, each line ended by CRLF.

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
from worker.run import Ended


class Reports:
    """Counts what a node does and writes each change to standard output, if it is enabled."""

    def __init__(self, *, enabled: bool, stream: TextIO | None = None) -> None:
        self._stream = (stream or sys.__stdout__) if enabled else None
        self._lock = threading.Lock()
        self._generated = 0
        self._processed = 0
        self._errors = 0

    def report_number(self, number: int) -> None:
        """Report the node's number."""
        self._write(msg="createdTaskId", taskId=number)

    def report_generator_mode(self) -> None:
        """Report that the node has become the generator."""
        self._write(msg="switchedToGeneratorMode")

    def report_handler_mode(self) -> None:
        """Report that the node is no longer the generator."""
        self._write(msg="switchedToHandlerMode")

    def count_generated(self) -> None:
        """Count a message that was produced."""
        with self._lock:
            self._generated += 1
            total = self._generated
        self._write(msg="generated", total=total)

    def count_ended(self, ended: Ended) -> None:
        """Count a run, if it recorded an outcome: as an error unless it completed."""
        if ended.status is None:
            return
        with self._lock:
            self._processed += 1
            self._errors += ended.status is not JobStatus.COMPLETED
            counts = {"total": self._processed, "errors": self._errors}
        self._write(msg="processed", **counts)

    def _write(self, **message: Any) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(message) + "\r\n")
            self._stream.flush()
        except OSError:
            self._stream = None  # the monitor has died; the end of standard input ends the node
