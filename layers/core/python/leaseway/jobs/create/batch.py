"""Creating many jobs at once, in few calls: what is wrong with one refuses that one only."""

from collections.abc import Sequence
from typing import Any

import msgspec

from leaseway.dynamodb.batches import put_items
from leaseway.dynamodb.table import Item
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.create import NOT_IN_TURN, NOTHING_SAID, Options, delete_unsent, new_checked_job
from leaseway.jobs.job import Job
from leaseway.jobs.table import model_from_job

LARGEST_BATCH = 100


class Wanted(msgspec.Struct, frozen=True):
    """A job to create."""

    type: str
    payload: dict[str, Any]
    options: Options = NOTHING_SAID


def create_jobs(owner: str, wanted: Sequence[Wanted]) -> list[Job | LeasewayError]:
    """Store and send up to 100 jobs; answers each, in order, with the job or with why it was refused.

    One BatchWriteItem for 25 jobs and one SendMessageBatch for ten: 14 calls for 100 small jobs, one or two more for
    each further queue that they go to, and one for every 25 tags. The ids are fresh, which BatchWriteItem needs,
    because it has no conditions. Nobody claims a job before its message is sent, so a put that is repeated after a lost
    answer overwrites nothing. Jobs with one `order_key` start in the order in which they are wanted.
    """
    outcomes = [_checked(owner, one) for one in wanted]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    lost = _put(jobs)
    kept = [job for job in jobs if job.id not in lost]
    out_of_turn = delete_unsent(queue.send_when_due(kept), kept)
    return [_unless_lost(outcome, lost, out_of_turn) for outcome in outcomes]


def _put(jobs: Sequence[Job]) -> set[str]:
    """Store jobs, the rows of their tags first; returns the ids of those that the tables did not take."""
    lost = tags.remember(jobs)
    lost |= {item["id"]["S"] for item in put_items("jobs_table", [_item(job) for job in jobs if job.id not in lost])}
    tags.disown([job for job in jobs if job.id in lost])
    return lost


def _checked(owner: str, wanted: Wanted) -> Job | LeasewayError:
    try:
        return new_checked_job(owner, wanted.type, wanted.payload, wanted.options)
    except LeasewayError as refusal:
        return refusal


def _unless_lost(outcome: Job | LeasewayError, lost: set[str], out_of_turn: set[str]) -> Job | LeasewayError:
    if isinstance(outcome, Job) and outcome.id in out_of_turn:
        return UnavailableError(NOT_IN_TURN)
    if isinstance(outcome, Job) and outcome.id in lost:
        return UnavailableError("the table did not take the job; try again")
    return outcome


def _item(job: Job) -> Item:
    item: Item = model_from_job(job, content.store(job.payload, job.owner, job.id, "payload")).serialize()
    return item
