"""Reading one job and its result."""

from typing import Any

import msgspec

from leaseway import objects
from leaseway.errors import ConflictError, InvalidInputError, NotFoundError
from leaseway.jobs import content
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, job_from_item


class JobNotFoundError(NotFoundError):
    """No such job."""

    code = "JOB_NOT_FOUND"


class NotFinishedError(ConflictError):
    """The job has not ended yet."""

    code = "NOT_FINISHED"


def get_job(job_id: str, *, owner: str | None) -> Job:
    """The job, its large contents included. One consistent read, and one GetObject for each large content.

    `owner` None reads anybody's job (for an Admin). Somebody else's job reads as absent.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
    """
    item = JobModel.read(job_id) if job_id else None
    job = job_from_item(item) if item is not None else None
    if job is None or owner not in (None, job.owner):
        raise JobNotFoundError(job_id=job_id)
    return msgspec.structs.replace(job, payload=content.payload_of(job), result=content.result_of(job))


def get_result(job_id: str, *, owner: str | None) -> tuple[Job, dict[str, Any] | None]:
    """The finished job and its result; the result is None for FAILED and CANCELLED, whose job tells the reason.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotFinishedError: it is CREATED or RUNNING.
    """
    job = get_job(job_id, owner=owner)
    if not job.status.is_terminal:
        raise NotFinishedError(f"the job is {job.status.value}", job_id=job_id, status=job.status.value)
    return job, job.result if job.status is JobStatus.COMPLETED else None


def link_to_result(job_id: str, *, owner: str | None) -> tuple[str, int]:
    """A fresh link to the object that a COMPLETED job's result names as `key`, and when it stops working (ms).

    Costs what `get_result` does; whether the object is still there is not asked.

    Raises:
        JobNotFoundError, NotFinishedError: as `get_result`.
        ObjectNotFoundError: the result names no object of the job's owner.
    """
    job, result = get_result(job_id, owner=owner)
    key = (result or {}).get("key")
    try:
        # A result is what an executor says: it must not open what belongs to somebody else.
        objects.check_own_key(job.owner, key if isinstance(key, str) else "")
    except InvalidInputError:
        raise objects.ObjectNotFoundError("the result names no object", job_id=job_id) from None
    return objects.presign_get(str(key))
