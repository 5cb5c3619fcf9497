"""Single steps of a job's life, for tests of the domain."""

from typing import Any

from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import Job, Options, create_job, get_job
from leaseway.jobs.lease import Lease
from leaseway.jobs.run import claim


def create_sleep_job(*, key: IdempotencyKey | None = None, **options: Any) -> Job:
    """Create a job of ann's that sleeps for 10 ms."""
    return create_job("ann", "SLEEP", {"duration_ms": 10}, Options(**options), key=key)


MESSAGE_ID = "5fea7756-0ea4-451a-a703-a558b933e274"


def claim_job(job: Job, worker: str = "w1", *, message_id: str | None = MESSAGE_ID) -> Lease:
    """Claim the job for that worker, with a message hidden, and return the lease; fail if the claim is refused."""
    outcome = claim.claim(job.id, worker, message_id=message_id)
    assert isinstance(outcome, claim.Claimed)
    return outcome.lease


def read_job(job: Job) -> Job:
    """Read the job again."""
    return get_job(job.id, owner=None)
