"""The process of a node: its lanes and threads, and how it ends.

SIGTERM, Ctrl-C, or the monitor's end    takes no more messages; running jobs may finish within the drain seconds
the same again, or the seconds are over  gives running jobs to other workers at once
an executor that outlives its deadline   as SIGTERM, and exits with status 1: ECS starts the node again
SIGKILL                                  leases end, and other workers take over
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from leaseway import metrics
from leaseway.jobs.queue_names import Queue, list_deployed
from leaseway.jobs.types import JobType, catalogue
from leaseway.logs import log
from leaseway.settings import settings
from worker.node import takeover
from worker.node.candidate import Candidate
from worker.node.lane import Lane
from worker.node.options import NodeOptions
from worker.node.reports import Reports
from worker.node.slots import Slots

_CHECK_SECONDS = 0.05
_METRICS_SECONDS = 60
_CHILDREN_SECONDS = 5.0
"""How long processes that take over have to give back what they run."""


class Node:
    """One node. `run` returns its exit status."""

    def __init__(self, options: NodeOptions) -> None:
        self._options = options
        self._stops = 0
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._failed = False
        self._metrics_flushed = time.monotonic()
        self._slots = Slots(options.concurrency)
        self._reports = Reports(enabled=options.report)
        self._takeovers = takeover.Takeovers(["--name", options.name, "--drain-seconds", str(options.drain_seconds)])
        self._lanes = [self._lane(source) for source in self._sources()]
        self._candidate = Candidate(options, self._reports, self._switch_mode) if options.generate else None

    def _sources(self) -> list[Queue]:
        if self._options.take_over is not None:
            return [takeover.parse_message(self._options.take_over)[0]]
        return [Queue(name) for name in self._options.queues] or default_queues()

    def _lane(self, source: Queue) -> Lane:
        isolate, on_end = self._takeovers.isolate, self._reports.count_ended
        return Lane(self._options.name, source, self._slots, isolate=isolate, on_end=on_end)

    def _switch_mode(self, is_generator: bool) -> None:
        for lane in self._lanes:
            if is_generator:
                lane.pause()
            else:
                lane.resume()

    def run(self) -> int:
        """Work until a signal or a failure ends it; returns the exit status."""
        self._install_signal_handlers()
        names = [lane.source.name for lane in self._lanes]
        log.info("node started", extra={"action": "start", "worker": self._options.name, "queues": names})
        keepers = [self._start_thread(lane.keep) for lane in self._lanes]
        workers = self._start_work()
        while not self._stopping.wait(_check_interval(self._options)) and not self._is_done():
            self._flush_metrics(every=_METRICS_SECONDS)
        self._drain(workers)
        for lane in self._lanes:
            lane.end()
        for keeper in keepers:
            keeper.join(_CHILDREN_SECONDS)
        stuck = any(lane.is_stuck for lane in self._lanes)
        for lane in self._lanes:
            lane.settle()
        self._flush_metrics(every=0)
        log.info("node ended", extra={"action": "exit", "worker": self._options.name, "stuck": stuck})
        return 1 if stuck or self._failed else 0

    def _start_work(self) -> list[threading.Thread]:
        if self._options.take_over is not None:
            self._lanes[0].take_over(takeover.parse_message(self._options.take_over)[1])
            return []
        threads = [self._start_thread(lane.poll, self._options.poll_seconds) for lane in self._lanes]
        return threads + ([self._start_thread(self._candidate.run)] if self._candidate else [])

    def _flush_metrics(self, *, every: float) -> None:
        if time.monotonic() >= self._metrics_flushed + every:
            self._metrics_flushed = time.monotonic()
            metrics.flush("node")

    def _is_done(self) -> bool:
        """Whether there is a reason to end without a signal."""
        if any(lane.is_stuck for lane in self._lanes):
            log.error("an executor outlived its deadline", extra={"action": "stuck", "worker": self._options.name})
            return True
        return self._options.take_over is not None and not self._lanes[0].is_busy

    def _start_thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        """Start an essential thread: if it fails, the node ends."""

        def run_guarded() -> None:
            try:
                target(*arguments)
            except Exception:
                self._failed = True
                self._stopping.set()
                log.exception("a thread of the node failed", extra={"action": "fail", "task": target.__name__})

        thread = threading.Thread(target=run_guarded, daemon=True)
        thread.start()
        return thread

    # ---- Ending -------------------------------------------------------------------------------------------------

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        # Ctrl-C reaches every process of a terminal; a takeover is ended by its node.
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._options.take_over is not None else self._stop)
        if self._options.report or self._options.take_over is not None:
            self._start_thread(self._stop_with_parent)

    def _stop(self, *_: Any) -> None:
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            self._hurry.set()

    def _stop_with_parent(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._stop()

    def _drain(self, workers: list[threading.Thread]) -> None:
        """Start nothing new, and let running jobs finish within the drain seconds."""
        log.info("draining", extra={"action": "drain", "worker": self._options.name})
        ends = time.monotonic() + self._options.drain_seconds
        if self._candidate:
            self._candidate.stop()
        for lane in self._lanes:
            lane.close()
        self._slots.close()
        self._wait(lambda: any(thread.is_alive() for thread in workers), ends)
        self._wait(lambda: any(lane.is_busy for lane in self._lanes) or self._takeovers.is_busy, ends)
        self._takeovers.end()
        self._wait(lambda: self._takeovers.is_busy, time.monotonic() + _CHILDREN_SECONDS, always=True)

    def _wait(self, condition: Callable[[], bool], ends: float, *, always: bool = False) -> None:
        while condition() and time.monotonic() < ends and (always or not self._hurry.is_set()):
            time.sleep(_CHECK_SECONDS)


def default_queues() -> list[Queue]:
    """The queues that no Lambda function reads and whose jobs this code can run: all, if the workers are off."""
    types = catalogue()
    deployed = list(list_deployed())
    if settings().worker_enabled == "false":
        return [each for each in deployed if each.name not in types or types[each.name].run is not None]
    return [each for each in deployed if each.name in types and _is_for_nodes(types[each.name])]


def _is_for_nodes(kind: JobType) -> bool:
    return kind.runs_on == "external" and kind.run is not None


def _check_interval(options: NodeOptions) -> float:
    return _CHECK_SECONDS if options.take_over is not None else 1.0
