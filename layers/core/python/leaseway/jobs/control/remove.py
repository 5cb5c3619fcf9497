"""Removing a job that has ended, before its retention is over."""

from collections.abc import Container

from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.jobs.control.control import VersionMovedError
from leaseway.jobs.find.read import NotFinishedError, read_job_item
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel


def remove_job(job_id: str, *, owner: str | None, if_versions: Container[int] | None = None) -> Job:
    """Remove a job that has ended; returns what it was. One read and one write of four units, three for its indexes.

    Only one of two concurrent removals returns the job, so a client that collects ended jobs so gets each once (both
    may return it only if the SDK had to repeat a removal). Large contents are not returned: they may be gone, or the
    bucket may not answer.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotFinishedError: it is CREATED or RUNNING.
        VersionMovedError: its version is not among `if_versions`, or it was retried since it was read.
    """
    job = read_job_item(job_id, owner=owner)
    if not job.status.is_terminal:
        raise NotFinishedError(f"the job is {job.status.value}", job_id=job.id, status=job.status.value)
    if if_versions is not None and job.version not in if_versions:
        raise VersionMovedError(f"its version is {job.version}", job_id=job.id, version=job.version)
    try:
        JobModel.remove(job.id, JobModel.version == job.version)
    except ConditionRefusedError as refusal:
        if refusal.item is None and refusal.is_repeat:
            return job  # removed by our own first call, whose answer was lost
        read_job_item(job_id, owner=owner)  # raises JobNotFoundError if another removal was first
        raise VersionMovedError("it has changed since it was read", job_id=job.id) from None
    return job
