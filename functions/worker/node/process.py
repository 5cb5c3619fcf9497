"""The process of a node: its lanes and threads, and how it ends.

SIGTERM, Ctrl-C, or the monitor's end    no more messages; what runs may finish within the drain seconds
the same again, or the seconds are over  what still runs is given back, and another worker has it at once
an executor that outlives its deadline   as SIGTERM, and the status is 1: ECS starts the node again
SIGKILL                                  leases end, and others take over
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from leaseway import metrics
from leaseway.jobs import queue
from leaseway.jobs.queue import Queue
from leaseway.jobs.types import catalogue
from leaseway.logs import log
from leaseway.settings import settings
from worker.node import takeover
from worker.node.candidate import Candidate
from worker.node.lane import Lane
from worker.node.options import Options
from worker.node.reports import Reports
from worker.node.slots import Slots

_LOOK_SECONDS = 0.05
_METRICS_SECONDS = 60
_CHILDREN_SECONDS = 5.0
"""How long processes that take over have to give back what they run."""


class Node:
    """One node. `run` returns its exit status."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stops = 0
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._failed = False
        self._metrics_told = time.monotonic()
        self._slots = Slots(options.concurrency)
        self._reports = Reports(told=options.report)
        self._takeovers = takeover.Takeovers(["--name", options.name, "--drain-seconds", str(options.drain_seconds)])
        self._lanes = [self._lane(source) for source in self._sources()]
        self._candidate = Candidate(options, self._reports, self._generates) if options.generate else None

    def _sources(self) -> list[Queue]:
        if self._options.take_over is not None:
            return [takeover.read(self._options.take_over)[0]]
        return [Queue(name) for name in self._options.queues] or default_queues()

    def _lane(self, source: Queue) -> Lane:
        isolate, on_end = self._takeovers.isolate, self._reports.ended
        return Lane(self._options.name, source, self._slots, isolate=isolate, on_end=on_end)

    def _generates(self, does: bool) -> None:
        for lane in self._lanes:
            if does:
                lane.pause()
            else:
                lane.resume()

    def run(self) -> int:
        """Work until told to end; returns the exit status."""
        self._listen()
        names = [lane.source.name for lane in self._lanes]
        log.info("node started", extra={"action": "start", "worker": self._options.name, "queues": names})
        keepers = [self._thread(lane.keep) for lane in self._lanes]
        workers = self._work()
        while not self._stopping.wait(_seconds_of_a_look(self._options)) and not self._done():
            self._tell_metrics(every=_METRICS_SECONDS)
        self._drain(workers)
        for lane in self._lanes:
            lane.end()
        for keeper in keepers:
            keeper.join(_CHILDREN_SECONDS)
        stuck = any(lane.stuck for lane in self._lanes)
        for lane in self._lanes:
            lane.settle_last()
        self._tell_metrics(every=0)
        log.info("node ended", extra={"action": "exit", "worker": self._options.name, "stuck": stuck})
        return 1 if stuck or self._failed else 0

    def _work(self) -> list[threading.Thread]:
        if self._options.take_over is not None:
            self._lanes[0].take_over(takeover.read(self._options.take_over)[1])
            return []
        threads = [self._thread(lane.poll, self._options.poll_seconds) for lane in self._lanes]
        return threads + ([self._thread(self._candidate.run)] if self._candidate else [])

    def _tell_metrics(self, *, every: float) -> None:
        if time.monotonic() >= self._metrics_told + every:
            self._metrics_told = time.monotonic()
            metrics.flush("node")

    def _done(self) -> bool:
        """Whether there is a reason to end without being told."""
        if any(lane.stuck for lane in self._lanes):
            log.error("an executor outlived its deadline", extra={"action": "stuck", "worker": self._options.name})
            return True
        return self._options.take_over is not None and not self._lanes[0].busy

    def _thread(self, target: Callable[..., None], *arguments: Any) -> threading.Thread:
        """A thread without which the node is none: where it fails, the node ends."""

        def guarded() -> None:
            try:
                target(*arguments)
            except Exception:
                self._failed = True
                self._stopping.set()
                log.exception("a thread of the node failed", extra={"action": "fail", "task": target.__name__})

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    # ---- Ending -------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        # Ctrl-C reaches every process of a terminal; a takeover is told by its node.
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._options.take_over is not None else self._stop)
        if self._options.report or self._options.take_over is not None:
            self._thread(self._stop_with_whoever_started_this)

    def _stop(self, *_: Any) -> None:
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            self._hurry.set()

    def _stop_with_whoever_started_this(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._stop()

    def _drain(self, workers: list[threading.Thread]) -> None:
        """Let what runs finish within the bound, and nothing new begin."""
        log.info("draining", extra={"action": "drain", "worker": self._options.name})
        ends = time.monotonic() + self._options.drain_seconds
        if self._candidate:
            self._candidate.stop()
        for lane in self._lanes:
            lane.close()
        self._slots.close()
        self._wait(lambda: any(thread.is_alive() for thread in workers), ends)
        self._wait(lambda: any(lane.busy for lane in self._lanes) or self._takeovers.busy, ends)
        self._takeovers.end()
        self._wait(lambda: self._takeovers.busy, time.monotonic() + _CHILDREN_SECONDS, always=True)

    def _wait(self, condition: Callable[[], bool], ends: float, *, always: bool = False) -> None:
        while condition() and time.monotonic() < ends and (always or not self._hurry.is_set()):
            time.sleep(_LOOK_SECONDS)


def default_queues() -> list[Queue]:
    """The queues that no Lambda function reads and whose jobs this code can run: all, where the workers are off."""
    own = catalogue()
    deployed = list(queue.deployed())
    if settings().worker_enabled == "false":
        return [each for each in deployed if each.name not in own or own[each.name].run is not None]
    return [each for each in deployed if each.name in own and _ours(own[each.name])]


def _ours(kind: Any) -> bool:
    return kind.runs_on == "external" and kind.run is not None


def _seconds_of_a_look(options: Options) -> float:
    return _LOOK_SECONDS if options.take_over is not None else 1.0
