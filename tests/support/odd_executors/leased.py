"""A type with a lease of its own, shorter than the default."""

from leaseway.jobs.types import JobType
from support.odd_executors.quick import Quick, run

TYPE = JobType(name="LEASED", payload=Quick, run=run, summary="has a short lease", lease_seconds=5)
