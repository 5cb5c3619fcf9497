"""Creating a job: checked in full, stored, then sent."""

import contextlib
from collections.abc import Container, Sequence
from typing import Any

from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import LeasewayError, OutcomeUnknownError, UnavailableError
from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import build_job
from leaseway.jobs.create.keyed import NOT_IN_TURN, choose_job_id, create_once
from leaseway.jobs.create.options import DEFAULT_OPTIONS, JobRequest, Options
from leaseway.jobs.create.rows import insert_ordered, is_never_claimed
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, model_from_job


def create_job(
    owner: str,
    type_name: str,
    payload: dict[str, Any],
    options: Options = DEFAULT_OPTIONS,
    *,
    key: IdempotencyKey | None = None,
) -> Job:
    """Store a job as CREATED and send its message. One PutItem (3 write units under 1 KB) and one send.

    With `order_key`, one transaction (6 write units), which counts the live jobs of the key.

    With `tags`, one BatchWriteItem before it puts a row for each, a unit each.

    If the send fails, the job exists nevertheless, and the sweeper sends it. Owner, route and text of a `key` determine
    the job's id, and its record is put in one transaction with the job (6 write units): a repeat is refused by it, and
    gets the job as it was created, even if it was removed since. A job with `run_at` (ms since the epoch) or
    `delay_seconds` is not claimed earlier; SQS hides its message for up to 900 s, the sweeper sends it if it is due
    later, and no worker waits for it. After its end it is stored for `retention_days`, by default `RETENTION_DAYS`.
    Jobs with one `order_key` start one by one, in the order of creation; if the message of one cannot be sent in its
    turn, the job is not created.

    Raises:
        UnknownJobTypeError: no executor has the type; a job of it would never run.
        InvalidInputError: the payload does not fit the type, a number is out of bounds, or two options exclude each
            other, as a priority and an order; names the field.
        TtlTooLongError: the time to live is longer than an invocation can be, or than 11 hours outside Lambda.
        KeyReusedError: the key created another job.
        OrderKeyFullError: the order key has `ORDERED_JOBS` live jobs.
        UnavailableError: the table of tags did not take the rows, or SQS an ordered message; no job was created.
    """
    request = JobRequest(type_name, payload, options)
    if key is not None:
        return create_once(build_job(owner, request, job_id=choose_job_id(key)), options, key)
    job = build_job(owner, request)
    _insert(job)
    if delete_unsent(queue.send_when_due([job]), [job]):
        raise UnavailableError(NOT_IN_TURN)
    return job


def delete_unsent(unsent: Container[str], jobs: Sequence[Job]) -> set[str]:
    """Delete the ordered ones of `jobs` that are in `unsent`: sent later, they would start after younger ones.

    Returns the ids of those deleted. A job that was claimed had been sent after all, and stays.
    """
    deleted = [job for job in jobs if job.order_key is not None and job.id in unsent and _delete_unclaimed(job)]
    if deleted:
        tags.delete_rows(deleted)
    return {job.id for job in deleted}


def _delete_unclaimed(job: Job) -> bool:
    try:
        JobModel.remove(job.id, is_never_claimed())
    except ConditionRefusedError:
        return False
    return True


def _insert(job: Job) -> None:
    """Write the rows of the job's tags, then the job."""
    if tags.insert_rows([job]):
        tags.delete_rows([job])
        raise UnavailableError("the table of tags did not take the job's; try again")
    row = model_from_job(job, content.store(job.payload, job.owner, job.id, "payload"))
    if job.order_key is None:
        # The id is fresh: a refusal can only mean that the SDK repeated our own put after a lost answer.
        with contextlib.suppress(ConditionRefusedError):
            JobModel.insert(row)
    elif isinstance(failure := insert_ordered([row])[job.id], LeasewayError):
        if not isinstance(failure, OutcomeUnknownError):
            tags.delete_rows([job])
        raise failure
