"""FAR: a type whose workers are outside Lambda."""

from typing import Any

import msgspec

from leaseway.jobs.types import JobContext, JobType


class Payload(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


def run(payload: Payload, context: JobContext) -> dict[str, Any]:
    """Do nothing."""
    return {}


TYPE = JobType(name="FAR", payload=Payload, run=run, summary="Runs outside Lambda", runs_on="external")
