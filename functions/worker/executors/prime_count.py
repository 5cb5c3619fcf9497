"""PRIME_COUNT: count the primes below a number with a sieve, segment by segment. Pure computing."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway.jobs.types import JobContext, JobType, JsonObject
from worker.pacing import PACED_TTL_MS, TWO_MINUTES_MS, Duration, paced, read_duration

_SEGMENTS = 20


class PrimePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bound below which primes are counted."""

    below: Annotated[int, Meta(ge=2, le=100_000_000, description="Primes below this number are counted")] = 10_000_000
    duration_ms: Duration = TWO_MINUTES_MS


def run(payload: PrimePayload, context: JobContext) -> JsonObject:
    """How many primes there are, and the largest of them.

    Raises:
        JobError: time ran out.
    """
    small = _primes(math.isqrt(payload.below) + 1)
    count, largest = 0, 0
    for segment in paced(context, payload.duration_ms, _SEGMENTS, "segment"):
        low, high = (max(2, payload.below * part // _SEGMENTS) for part in (segment, segment + 1))
        sieve = _sieve(low, high, small)
        count += sieve.count(1)
        last = sieve.rfind(1)
        largest = low + last if last >= 0 else largest
    return {"primes": count, "largest": largest or None}


def _primes(below: int) -> list[int]:
    sieve = bytearray([1]) * max(2, below)
    for number in range(2, math.isqrt(len(sieve)) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, len(sieve), number)))
    return [number for number in range(2, len(sieve)) if sieve[number]]


def _sieve(low: int, high: int, small: list[int]) -> bytearray:
    """Return one byte per number from `low` to below `high`: 1 if it is prime."""
    sieve = bytearray([1]) * (high - low)
    for prime in small:
        start = max(prime * prime, -(-low // prime) * prime) - low
        if start < len(sieve):
            sieve[start::prime] = bytes(len(range(start, len(sieve), prime)))
    return sieve


TYPE = JobType(
    "PRIME_COUNT",
    PrimePayload,
    run,
    "Count primes, which is pure computation",
    ttl_ms=PACED_TTL_MS,
    least_ms=read_duration,
)
