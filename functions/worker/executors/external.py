"""EXTERNAL: work for your own workers; Leaseway has no code to run it. See docs/how-to/workers-anywhere.md."""

import msgspec

from leaseway.jobs.types import JobType


class ExternalPayload(msgspec.Struct, frozen=True):
    """Any JSON object, which only your own workers interpret."""


TYPE = JobType("EXTERNAL", ExternalPayload, None, "Run anything on your own workers, over HTTP", runs_on="external")
