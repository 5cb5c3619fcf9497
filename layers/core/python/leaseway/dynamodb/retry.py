"""Retries: exponential backoff with full jitter. The only place that waits between two calls."""

import random
from collections.abc import Iterator

import msgspec

from leaseway import clock


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait between tries: at most `first` seconds, then twice as long each time, up to `longest`."""

    first: float
    longest: float = 1.0

    def attempts(self, tries: int) -> Iterator[int]:
        """Yield 0, 1, ... `tries - 1`, pausing before each number but the first.

        for _ in BACKOFF.attempts(6):
            try:
                return send()
            except ThrottledError as throttled:
                failure = throttled
        raise UnavailableError from failure
        """
        for attempt in range(tries):
            if attempt:
                self.pause(attempt - 1)
            yield attempt

    def pause(self, failures: int) -> None:
        """Sleep for a random part of the wait that follows that many earlier failures."""
        limit = min(self.longest, self.first * 2**failures)
        clock.sleep(random.uniform(0, limit))  # noqa: S311 - jitter, not a secret
