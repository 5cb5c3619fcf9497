"""Creating many jobs at once, in few calls: what is wrong with one refuses that one only."""

from collections.abc import Sequence

from leaseway.dynamodb.batches import put_items
from leaseway.errors import LeasewayError, OutcomeUnknownError, UnavailableError
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import build_job
from leaseway.jobs.create.create import delete_unsent
from leaseway.jobs.create.keyed import NOT_IN_TURN
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.create.rows import Stopped, insert_in_order, stop
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, model_from_job

LARGEST_BATCH = 100

_NOT_TAKEN = "the table did not take the job; try again"


def create_jobs(owner: str, requests: Sequence[JobRequest | LeasewayError]) -> list[Job | LeasewayError]:
    """Store and send up to 100 jobs; returns for each, in order, the job or the reason of its refusal.

    A request that was refused before it came here is returned as it is.

    One BatchWriteItem for 25 jobs and one SendMessageBatch for ten: 14 calls for 100 small jobs, one or two more for
    each further queue that they go to, and one for every 25 tags. The ids are fresh, which BatchWriteItem needs,
    because it has no conditions. No job is claimed before its message is sent, so a put that is repeated after a lost
    answer overwrites nothing. Jobs with one `order_key` start in the order of the requests; they are stored by
    transactions of up to 50, each of 4 write units a job and 2 for the count of the key's live jobs, or refused
    together.
    """
    outcomes = [_build_or_refuse(owner, request) for request in requests]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    failures = _insert(jobs)
    stored = [job for job in jobs if job.id not in failures]
    deleted = delete_unsent(queue.send_when_due(stored), stored)
    failures |= {job_id: UnavailableError(NOT_IN_TURN) for job_id in deleted}
    return [failures.get(outcome.id, outcome) if isinstance(outcome, Job) else outcome for outcome in outcomes]


def _insert(jobs: Sequence[Job]) -> dict[str, LeasewayError]:
    """Store jobs, the rows of their tags first; returns why jobs were not stored, by their ids."""
    untagged = tags.insert_rows(jobs)
    rows = [_build_row(job) for job in jobs if job.id not in untagged]
    unwritten = put_items("jobs_table", [row.serialize() for row in rows if row.order_key is None])
    lost = untagged | {item["id"]["S"] for item in unwritten}
    failures: dict[str, LeasewayError] = {job_id: UnavailableError(_NOT_TAKEN) for job_id in lost}
    stopped: Stopped = {}
    for job in jobs:
        if job.order_key is not None and job.id in failures:
            stop(job.order_key, failures[job.id], stopped)
    inserted = insert_in_order(rows, stopped).items()
    failures |= {job_id: outcome for job_id, outcome in inserted if isinstance(outcome, LeasewayError)}
    # After a lost answer a job may be there, with its rows.
    tags.delete_rows([job for job in jobs if job.id in failures and not _is_unknown(failures[job.id])])
    return failures


def _build_or_refuse(owner: str, request: JobRequest | LeasewayError) -> Job | LeasewayError:
    if isinstance(request, LeasewayError):
        return request
    try:
        return build_job(owner, request)
    except LeasewayError as refusal:
        return refusal


def _is_unknown(failure: LeasewayError) -> bool:
    return isinstance(failure, OutcomeUnknownError)


def _build_row(job: Job) -> JobModel:
    return model_from_job(job, content.store(job.payload, job.owner, job.id, "payload"))
