"""GENERATE_NUMBER: a random whole number with an exact count of digits."""

import secrets
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway.jobs.types import JobContext, JobType, JsonObject


class NumberPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of digits. JSON readers that use doubles keep 15 digits exactly, but not 17."""

    digits: Annotated[int, Meta(ge=1, le=15, description="Digits; the first one is never zero")] = 8


def run(payload: NumberPayload, _: JobContext) -> JsonObject:
    """A number from the system's secure random source, every number of that length equally likely."""
    smallest = 10 ** (payload.digits - 1)
    return {"number": smallest + secrets.randbelow(9 * smallest)}


TYPE = JobType("GENERATE_NUMBER", NumberPayload, run, "Make a random number of a given length")
