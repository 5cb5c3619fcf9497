"""FEW: a type of which few jobs run at a time."""

from typing import Any

import msgspec

from leaseway.jobs.types import JobContext, JobType


class Payload(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


def run(payload: Payload, context: JobContext) -> dict[str, Any]:
    """Do nothing."""
    return {}


TYPE = JobType(name="FEW", payload=Payload, run=run, summary="Two at a time", limit=2)
