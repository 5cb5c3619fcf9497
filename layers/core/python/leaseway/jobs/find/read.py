"""Reading one job and its result."""

from contextlib import suppress
from typing import Any

import msgspec

from leaseway import objects
from leaseway.errors import ConflictError, InvalidInputError, NotFoundError
from leaseway.jobs import content
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, job_from_item


class JobNotFoundError(NotFoundError):
    """There is no such job."""

    code = "JOB_NOT_FOUND"


class NotFinishedError(ConflictError):
    """The job has not ended yet."""

    code = "NOT_FINISHED"


def read_job_item(job_id: str, *, owner: str | None) -> Job:
    """Read a job without its large contents, which stay in the bucket. One consistent read.

    Whatever changes a job reads it so: it works while the bucket does not. `owner` None reads anybody's job (for an
    Admin). A job of another owner reads as absent.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
    """
    item = JobModel.read(job_id) if job_id else None
    job = job_from_item(item) if item is not None else None
    if job is None or owner not in (None, job.owner):
        raise JobNotFoundError(job_id=job_id)
    return job


def get_job(job_id: str, *, owner: str | None) -> Job:
    """Read a job with its large contents. One consistent read, and one GetObject for each large content.

    A content whose object is gone is left empty, as `read_job_item` leaves it.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        UnavailableError: the bucket does not answer.
    """
    job = read_job_item(job_id, owner=owner)
    payload, result = job.payload, job.result
    with suppress(objects.ObjectNotFoundError):
        payload = content.load_payload(job)
    with suppress(objects.ObjectNotFoundError):
        result = content.load_result(job)
    return msgspec.structs.replace(job, payload=payload, result=result)


def get_result(job_id: str, *, owner: str | None) -> tuple[Job, dict[str, Any] | None]:
    """Read a finished job, without a large payload, and its result: None if it FAILED or was CANCELLED.

    One consistent read, and one GetObject for a large result.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotFinishedError: it is CREATED or RUNNING.
        ObjectNotFoundError: the result is no longer in the bucket.
        UnavailableError: the bucket does not answer.
    """
    job = read_job_item(job_id, owner=owner)
    if not job.status.is_terminal:
        raise NotFinishedError(f"the job is {job.status.value}", job_id=job_id, status=job.status.value)
    return job, content.load_result(job) if job.status is JobStatus.COMPLETED else None


def link_to_result(job_id: str, *, owner: str | None) -> tuple[str, int]:
    """Make a link to the object that a COMPLETED job's result names as `key`; returns it and its end (ms).

    Costs what `get_result` does; it does not check that the object still exists.

    Raises:
        JobNotFoundError, NotFinishedError, UnavailableError: as `get_result`.
        ObjectNotFoundError: the result names no object of the job's owner, or is itself no longer in the bucket.
    """
    job, result = get_result(job_id, owner=owner)
    key = (result or {}).get("key")
    try:
        # An executor chose the key: it must not open an object of another owner.
        objects.check_own_key(job.owner, key if isinstance(key, str) else "")
    except InvalidInputError:
        raise objects.ObjectNotFoundError("the result names no object", job_id=job_id) from None
    return objects.presign_get(str(key))
