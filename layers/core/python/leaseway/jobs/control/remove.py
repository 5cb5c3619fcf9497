"""Removing a job that has ended, before its retention is over."""

from collections.abc import Container

from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.jobs.control.control import VersionMovedError
from leaseway.jobs.find.read import NotFinishedError, get_job
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel


def remove_job(job_id: str, *, owner: str | None, if_versions: Container[int] | None = None) -> Job:
    """Remove a job that has ended; returns what it was. One read and one write, which its three indexes make four.

    Of two that remove it at once, one is told what it was: whoever reads and removes reads each job once.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotFinishedError: it is CREATED or RUNNING.
        VersionMovedError: `if_versions` is given and its version is not among them, or it was retried meanwhile.
    """
    job = get_job(job_id, owner=owner)
    if not job.status.is_terminal:
        raise NotFinishedError(f"the job is {job.status.value}", job_id=job.id, status=job.status.value)
    if if_versions is not None and job.version not in if_versions:
        raise VersionMovedError(f"its version is {job.version}", job_id=job.id, version=job.version)
    try:
        JobModel.remove(job.id, JobModel.version == job.version)
    except ConditionRefusedError:
        get_job(job_id, owner=owner)  # gone: it does not exist any more, and that is the answer
        raise VersionMovedError("it was changed meanwhile", job_id=job.id) from None
    return job
