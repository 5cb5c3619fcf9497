"""A job type whose result has no JSON form, or that fails for good."""

from typing import Any, Literal

import msgspec

from leaseway.jobs.types import JobContext, JobType, PermanentJobError

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

RESULTS: dict[str, Any] = {
    "object": object(),
    "surrogate": "\udc80",
    "recursion": ENDLESS,
    "complex": 1j,
    "function": print,
}


class OddResult(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["object", "surrogate", "recursion", "complex", "function", "permanent"]


def run(payload: OddResult, context: JobContext) -> dict[str, Any]:
    if payload.kind == "permanent":
        raise PermanentJobError("gone for good")
    return {"value": RESULTS[payload.kind]}


TYPE = JobType(name="ODD_RESULT", payload=OddResult, run=run, summary="returns what has no JSON form")
