"""Creating many jobs at once, in few calls: what is wrong with one refuses that one only."""

import random
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from leaseway import aws
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.jobs import content, queue
from leaseway.jobs.create import new_checked_job, stored
from leaseway.jobs.model import Job
from leaseway.settings import needed
from leaseway.table import Item

LARGEST_BATCH = 100

_WRITTEN_TOGETHER = 25  # BatchWriteItem's limit
_ATTEMPTS = 6


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A job to create. `run_at` is in ms since the epoch."""

    type: str
    payload: dict[str, Any]
    ttl_ms: int | None = None
    max_attempts: int | None = None
    run_at: int | None = None
    delay_seconds: int | None = None


def create_jobs(owner: str, wanted: Sequence[Wanted]) -> list[Job | LeasewayError]:
    """Store and send up to 100 jobs; answers each, in order, with the job or with why it was refused.

    One BatchWriteItem for 25 jobs and one SendMessageBatch for ten: 14 calls for 100 small jobs. The ids are fresh,
    which BatchWriteItem needs, because it has no conditions. Nobody claims a job before its message is sent, so a
    put that is repeated after a lost answer overwrites nothing.
    """
    outcomes = [_checked(owner, one) for one in wanted]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    lost = {job_id for batch in _parts(jobs) for job_id in _put(batch)}
    queue.send_when_due([job for job in jobs if job.id not in lost])
    return [_unless_lost(outcome, lost) for outcome in outcomes]


def _checked(owner: str, wanted: Wanted) -> Job | LeasewayError:
    try:
        return new_checked_job(owner, wanted.type, wanted.payload, **_limits(wanted))
    except LeasewayError as refusal:
        return refusal


def _limits(wanted: Wanted) -> dict[str, int | None]:
    return {
        "ttl_ms": wanted.ttl_ms,
        "max_attempts": wanted.max_attempts,
        "run_at": wanted.run_at,
        "delay_seconds": wanted.delay_seconds,
    }


def _unless_lost(outcome: Job | LeasewayError, lost: set[str]) -> Job | LeasewayError:
    if isinstance(outcome, Job) and outcome.id in lost:
        return UnavailableError("the table did not take the job; try again")
    return outcome


def _parts(jobs: Sequence[Job]) -> list[Sequence[Job]]:
    return [jobs[start : start + _WRITTEN_TOGETHER] for start in range(0, len(jobs), _WRITTEN_TOGETHER)]


def _put(jobs: Sequence[Job]) -> list[str]:
    """Put the jobs; returns the ids of those that the table did not take in several tries."""
    table = needed("jobs_table")
    left: list[dict[str, dict[str, Item]]] = [{"PutRequest": {"Item": _item(job)}} for job in jobs]
    for attempt in range(_ATTEMPTS):
        if attempt:
            _pause(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter, not a secret
        answer = aws.client("dynamodb").batch_write_item(RequestItems={table: left})
        left = answer.get("UnprocessedItems", {}).get(table, [])
        if not left:
            return []
    return [put["PutRequest"]["Item"]["id"]["S"] for put in left]


_pause = time.sleep


def _item(job: Job) -> Item:
    item: Item = stored(job, content.store(job.payload, job.owner, job.id, "payload")).serialize()
    return item
