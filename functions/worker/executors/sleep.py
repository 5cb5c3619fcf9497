"""SLEEP: wait for a given time. Shows leases, timeouts and cancellation at work."""

from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject


class SleepPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to sleep."""

    duration_ms: Annotated[
        int, Meta(ge=0, le=840_000, description="Milliseconds; a TTL below it cancels the job", examples=[500])
    ]


def run(payload: SleepPayload, context: JobContext) -> JsonObject:
    """Wait that long; returns the milliseconds really slept.

    Raises:
        JobError: the job was cancelled or ran out of time meanwhile; the sleep ends at once.
    """
    began = clock.now_ms()
    if context.wait(payload.duration_ms / 1000):
        raise JobError(f"woken after {clock.now_ms() - began} of {payload.duration_ms} ms")
    return {"slept_ms": clock.now_ms() - began}


TYPE = JobType("SLEEP", SleepPayload, run, "Wait for a given time")
