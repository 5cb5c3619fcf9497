"""Creating many jobs at once, in few calls: what is wrong with one refuses that one only."""

from collections.abc import Sequence

from leaseway.dynamodb.batches import put_items
from leaseway.dynamodb.table import Item
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import build_job
from leaseway.jobs.create.create import delete_unsent
from leaseway.jobs.create.keyed import NOT_IN_TURN
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.job import Job
from leaseway.jobs.table import model_from_job

LARGEST_BATCH = 100


def create_jobs(owner: str, requests: Sequence[JobRequest | LeasewayError]) -> list[Job | LeasewayError]:
    """Store and send up to 100 jobs; returns for each, in order, the job or the reason of its refusal.

    A request that was refused before it came here is returned as it is.


    One BatchWriteItem for 25 jobs and one SendMessageBatch for ten: 14 calls for 100 small jobs, one or two more for
    each further queue that they go to, and one for every 25 tags. The ids are fresh, which BatchWriteItem needs,
    because it has no conditions. No job is claimed before its message is sent, so a put that is repeated after a lost
    answer overwrites nothing. Jobs with one `order_key` start in the order of the requests.
    """
    outcomes = [_build_or_refuse(owner, request) for request in requests]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    lost = _insert(jobs)
    stored = [job for job in jobs if job.id not in lost]
    out_of_turn = delete_unsent(queue.send_when_due(stored), stored)
    return [_refuse_lost(outcome, lost, out_of_turn) for outcome in outcomes]


def _insert(jobs: Sequence[Job]) -> set[str]:
    """Store jobs, the rows of their tags first; returns the ids of those that the tables did not take."""
    lost = tags.insert_rows(jobs)
    lost |= {
        item["id"]["S"] for item in put_items("jobs_table", [_build_item(job) for job in jobs if job.id not in lost])
    }
    tags.delete_rows([job for job in jobs if job.id in lost])
    return lost


def _build_or_refuse(owner: str, request: JobRequest | LeasewayError) -> Job | LeasewayError:
    if isinstance(request, LeasewayError):
        return request
    try:
        return build_job(owner, request)
    except LeasewayError as refusal:
        return refusal


def _refuse_lost(outcome: Job | LeasewayError, lost: set[str], out_of_turn: set[str]) -> Job | LeasewayError:
    if isinstance(outcome, Job) and outcome.id in out_of_turn:
        return UnavailableError(NOT_IN_TURN)
    if isinstance(outcome, Job) and outcome.id in lost:
        return UnavailableError("the table did not take the job; try again")
    return outcome


def _build_item(job: Job) -> Item:
    item: Item = model_from_job(job, content.store(job.payload, job.owner, job.id, "payload")).serialize()
    return item
