"""Single steps of a job's life, for tests of the domain."""

from typing import Any

from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import Job, Options, create_job, get_job
from leaseway.jobs.lease import Lease
from leaseway.jobs.run import claim


def sleep_job(*, key: IdempotencyKey | None = None, **options: Any) -> Job:
    """A job of ann's that sleeps for 10 ms."""
    return create_job("ann", "SLEEP", {"duration_ms": 10}, Options(**options), key=key)


def claimed(created: Job, worker: str = "w1") -> Lease:
    """The lease under which that worker holds the job, with a message hidden; fails if the claim is refused."""
    outcome = claim.claim(created.id, worker, message_id="5fea7756-0ea4-451a-a703-a558b933e274")
    assert isinstance(outcome, claim.Claimed)
    return outcome.lease


def read(created: Job) -> Job:
    """The job as it is now."""
    return get_job(created.id, owner=None)
