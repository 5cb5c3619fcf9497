"""Virtual time for threads: they take turns, and the clock jumps to the next wake-up when all of them wait.

Code under simulation keeps its threads, conditions and pauses; only the modules `threading` and `time` that it sees are
replaced. One thread runs at a time and the order of turns depends on nothing outside, so every run is the same.
"""

import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from leaseway import clock

START = 1_700_000_000.0
"""Seconds since the epoch at which every simulation begins."""

WORKER = (
    "worker.batch:time", "worker.intake:time", "worker.runner:time", "worker.runner:threading", "worker.run:time",
    "worker.run:threading", "worker.context:threading", "worker.progress:time", "worker.progress:threading",
)  # fmt: skip
"""What the worker sees of time: for `replaces_time_of`."""


class _Turns:
    """A thread as the scheduler sees it."""

    def __init__(self) -> None:
        self.may_run = threading.Semaphore(0)
        self.waits = 0
        """Grows with each wait, so that the timer of an earlier one wakes nothing."""
        self.was_notified = False


class VirtualTime:
    """A clock in seconds since `START`, and the scheduler of the threads that live in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[_Turns] = deque()
        self._timers: list[tuple[float, int, _Turns, int]] = []
        self._numbers = count()
        self._turn_ended = threading.Semaphore(0)
        self._current = _Turns()
        self._threads: set[_Turns] = set()

    def run(self, main: Callable[[], None]) -> None:
        """Run `main` and every thread that it starts, until all have ended.

        Raises:
            RuntimeError: the threads wait for each other.
        """
        self.add(main)
        while self._threads:
            self._current = self._next_turn()
            self._current.may_run.release()
            self._turn_ended.acquire()

    def _next_turn(self) -> _Turns:
        while not self._ready:
            if not self._timers:
                raise RuntimeError(f"{len(self._threads)} threads wait for each other")
            moment, _, turns, waits = heapq.heappop(self._timers)
            if turns.waits == waits:
                self.now = max(self.now, moment)
                self._wake(turns, notified=False)
        return self._ready.popleft()

    def _start(self, target: Callable[[], None]) -> _Turns:
        turns = _Turns()

        def take_turns() -> None:
            turns.may_run.acquire()
            try:
                target()
            finally:
                self._threads.discard(turns)
                self._turn_ended.release()

        self._ready.append(turns)
        threading.Thread(target=take_turns, daemon=True).start()
        return turns

    def _wake(self, turns: _Turns, *, notified: bool) -> None:
        turns.waits += 1
        turns.was_notified = notified
        self._ready.append(turns)

    def wait(self, waiters: deque[_Turns] | None = None, timeout: float | None = None) -> bool:
        """End this thread's turn until it is notified through `waiters` or the time is over; returns whether it was."""
        turns = self._current
        if waiters is not None:
            waiters.append(turns)
        if timeout is not None and timeout < math.inf:
            heapq.heappush(self._timers, (self.now + max(0.0, timeout), next(self._numbers), turns, turns.waits))
        self._turn_ended.release()
        turns.may_run.acquire()
        if not turns.was_notified and waiters is not None:
            waiters.remove(turns)
        return turns.was_notified

    def notify(self, waiters: deque[_Turns], most: float = math.inf) -> None:
        """Let the threads that wait longest go on, after this one."""
        while waiters and most > 0:
            self._wake(waiters.popleft(), notified=True)
            most -= 1

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for this thread."""
        self.wait(timeout=seconds)

    def spawn(self, target: Callable[..., None], *arguments: Any) -> "VirtualThread":
        """Start a thread of this time."""
        thread = VirtualThread(self, target=target, args=arguments)
        thread.start()
        return thread

    def add(self, target: Callable[[], None]) -> None:
        """Give a new thread its turns. For `VirtualThread`."""
        self._threads.add(self._start(target))

    @contextmanager
    def replaces_time_of(self, *modules: str) -> Iterator[None]:
        """Let those modules, and the project's clock, live in this time while the block runs."""
        in_this_time = {
            "threading": SimpleNamespace(
                Thread=lambda **options: VirtualThread(self, **options),
                Condition=lambda: VirtualCondition(self),
                Event=lambda: VirtualEvent(self),
            ),
            "time": SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep),
        }
        with ExitStack() as stack:
            for name in modules:
                module, _, attribute = name.rpartition(":")
                stack.enter_context(patch(f"{module}.{attribute}", in_this_time[attribute]))
            stack.enter_context(patch.object(clock, "sleep", self.sleep))
            stack.enter_context(clock.fixed(lambda: START + self.now))
            yield


class VirtualThread:
    """`threading.Thread`."""

    def __init__(
        self, time: VirtualTime, *, target: Callable[..., None], args: Sequence[Any] = (), daemon: bool = True
    ) -> None:
        self._time = time
        self._target = target
        self._arguments = args
        self._ended = VirtualEvent(time)
        self.daemon = daemon

    def start(self) -> None:
        """Give it its first turn after those that are ready."""
        self._time.add(self._run)

    def _run(self) -> None:
        try:
            self._target(*self._arguments)
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()


class VirtualCondition:
    """`threading.Condition`. Its lock needs no lock: a turn ends only in a wait."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._waiters: deque[_Turns] = deque()

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a notification."""
        return self._time.wait(self._waiters, timeout)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until the predicate is true."""
        ends = math.inf if timeout is None else self._time.now + timeout
        while not predicate() and self._time.now < ends:
            self.wait(ends - self._time.now)
        return predicate()

    def notify(self, count: int = 1) -> None:
        """Wake some that wait."""
        self._time.notify(self._waiters, count)

    def notify_all(self) -> None:
        """Wake all that wait."""
        self._time.notify(self._waiters)


class VirtualEvent:
    """`threading.Event`."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._waiters: deque[_Turns] = deque()
        self._is_set = False

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def set(self) -> None:
        """Wake all that wait, now and later."""
        self._is_set = True
        self._time.notify(self._waiters)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set."""
        if not self._is_set:
            self._time.wait(self._waiters, timeout)
        return self._is_set
