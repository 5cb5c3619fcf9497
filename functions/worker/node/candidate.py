"""A candidate: a node that tries to become the generator, and produces messages while it is."""

import random
import threading
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from leaseway import clock
from leaseway.errors import UnavailableError
from leaseway.generator import DeposedError, GeneratorLease, Held, give_up, produce, renew, take_number, try_to_become
from leaseway.logs import log
from worker.node.options import NodeOptions
from worker.node.reports import Reports

_FAILURES = (ClientError, BotoCoreError, UnavailableError)
_LATE_SECONDS = 0.05
"""A candidate tries again this long to twice this long after a lease ends, so that not all try at once."""


class Candidate:
    """The thread of a node that may become the generator. `on_change` receives whether it is."""

    def __init__(self, options: NodeOptions, reports: Reports, on_change: Callable[[bool], None]) -> None:
        self._options = options
        self._reports = reports
        self._on_change = on_change
        self._stop = threading.Event()

    def run(self) -> None:
        """Take a number, then alternate between trying and generating, until stopped."""
        number = self._take_number()
        while not self._stop.is_set():
            lease = self._try_to_become(number)
            if isinstance(lease, GeneratorLease):
                self._on_change(True)
                log.info("generator", extra={"action": "generate", "node": number, "epoch": lease.epoch})
                self._reports.report_generator_mode()
                self._generate(lease)
                self._on_change(False)
                self._reports.report_handler_mode()
            else:
                self._stop.wait(self._seconds_until_next_try(lease))

    def stop(self) -> None:
        """Stop generating, and stop trying to."""
        self._stop.set()

    def _take_number(self) -> int:
        while True:
            try:
                number = take_number()
            except _FAILURES as failure:
                log.warning("no number yet", extra={"action": "number", "error": str(failure)})
                self._stop.wait(1)
                if self._stop.is_set():
                    return 0
            else:
                log.info("numbered", extra={"action": "number", "node": number})
                self._reports.report_number(number)
                return number

    def _try_to_become(self, number: int) -> GeneratorLease | Held:
        try:
            return try_to_become(number, self._options.name, self._options.lease_ms)
        except _FAILURES as failure:
            log.warning("no attempt", extra={"action": "become", "error": str(failure)})
            return Held(clock.now_ms() + self._options.refresh_ms)

    def _seconds_until_next_try(self, obstacle: Held) -> float:
        """Until the lease ends unless it is renewed, at most one renewal interval."""
        late = random.uniform(_LATE_SECONDS, 2 * _LATE_SECONDS)  # noqa: S311 - jitter, not a secret
        until_its_end = max(0, obstacle.until - clock.now_ms()) / 1000 + late
        return min(self._options.refresh_ms / 1000, until_its_end)

    def _generate(self, lease: GeneratorLease) -> None:
        try:
            _Generation(lease, self._options, self._reports, self._stop).run()
        except DeposedError:
            log.warning("deposed", extra={"action": "generate", "node": lease.node, "epoch": lease.epoch})


class _Generation:
    """One epoch of one generator: it renews the lease and produces messages, each at its interval."""

    def __init__(self, lease: GeneratorLease, options: NodeOptions, reports: Reports, stop: threading.Event) -> None:
        self._lease = lease
        self._options = options
        self._reports = reports
        self._stop = stop
        self._number = 0
        self._next_message = time.monotonic()
        self._next_renewal = time.monotonic() + options.refresh_ms / 1000

    def run(self) -> None:
        """Renew and produce until stopped.

        Raises:
            DeposedError: another node has become the generator.
        """
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= self._next_renewal:
                self._renew(now)
            if now >= self._next_message:
                self._produce(now)
            self._stop.wait(max(0.0, min(self._next_renewal, self._next_message) - time.monotonic()))
        give_up(self._lease)

    def _renew(self, now: float) -> None:
        self._next_renewal = now + self._options.refresh_ms / 1000
        try:
            self._lease = renew(self._lease, self._options.lease_ms)
        except _FAILURES as failure:
            # Half of the lease is left, and no write succeeds once another node has taken over.
            self._next_renewal = now + self._options.refresh_ms / 4_000
            log.warning("not renewed", extra={"action": "renew", "error": str(failure)})

    def _produce(self, now: float) -> None:
        interval = self._options.interval_ms / 1000
        # After a stall it continues at its interval instead of catching up.
        self._next_message = max(self._next_message + interval, now)
        try:
            produce(self._lease, self._number + 1, self._options.failure_percent)
        except _FAILURES as failure:
            log.warning("not produced", extra={"action": "produce", "error": str(failure)})
            return  # the next try takes the same number: an epoch's numbers have no gap
        self._number += 1
        self._reports.count_generated()
