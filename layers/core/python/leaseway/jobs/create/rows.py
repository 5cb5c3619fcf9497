"""The rows of new jobs: put only if their id is free, and deleted only if no worker has claimed them."""

from contextlib import suppress

from pynamodb.expressions.condition import Condition

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, job_from_item


def insert_row(row: JobModel) -> Item | None:
    """Put the row of a new job; returns the item of the job that exists under its id, None if there was none.

    One conditional PutItem. An expired job is deleted first, two calls more.
    """
    try:
        JobModel.insert(row)
    except ConditionRefusedError as refusal:
        existing = refusal.item or {}
        if job_from_item(existing) is not None:
            return existing
        delete_expired(row.id)
        return insert_row(row)
    return None


def delete_expired(job_id: str) -> None:
    """Delete a job that has expired, as DynamoDB would later. Overwritten, it would leave no REMOVE record in the

    stream, by which its objects and its rows of tags are deleted.
    """
    with suppress(ConditionRefusedError):  # it is gone, or another request has this id by now
        JobModel.remove(job_id, JobModel.expires_at <= clock.now_ms() // 1000)


def is_never_claimed() -> Condition:
    """The condition that a job is as it was created: no worker has ever had it."""
    never_claimed: Condition = (JobModel.status == JobStatus.CREATED.value) & (JobModel.fence == 0)
    return never_claimed


def is_as_created(job: Job) -> bool:
    """Whether nothing has happened to a job, as far as a read of it can say: no claim, no cancel, no retry by hand."""
    return job.status is JobStatus.CREATED and job.fence == 0 and job.version == 1
