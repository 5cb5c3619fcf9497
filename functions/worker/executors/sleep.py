"""SLEEP: wait for a given time. Shows leases, timeouts and cancellation at work."""

from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject

_TELLING_MS = 10_000
"""A sleep at least this long reports its progress ten times; for a shorter one the writes are not worthwhile."""


class SleepPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to sleep."""

    duration_ms: Annotated[
        int, Meta(ge=0, le=840_000, description="Milliseconds; a shorter time to live cancels the job", examples=[500])
    ]


def run(payload: SleepPayload, context: JobContext) -> JsonObject:
    """Wait that long; returns the milliseconds actually slept.

    Raises:
        JobError: the job was cancelled or ran out of time; the sleep ends at once.
    """
    began = clock.now_ms()
    parts = 1 if payload.duration_ms < _TELLING_MS else 10
    for part in range(1, parts + 1):
        if context.wait(payload.duration_ms / 1000 / parts):
            raise JobError(f"woken after {clock.now_ms() - began} of {payload.duration_ms} ms")
        if parts > 1:
            context.progress(part / parts)
    return {"slept_ms": clock.now_ms() - began}


TYPE = JobType("SLEEP", SleepPayload, run, "Wait for a given time")
