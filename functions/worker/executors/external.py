"""EXTERNAL: whatever your own workers make of it. Nothing of Leaseway's runs it; docs/how-to/workers-anywhere.md."""

import msgspec

from leaseway.jobs.types import JobType


class ExternalPayload(msgspec.Struct, frozen=True):
    """Any JSON object: what it means is between you and your workers."""


TYPE = JobType("EXTERNAL", ExternalPayload, None, "Anything, for workers of your own over HTTP", runs_on="external")
