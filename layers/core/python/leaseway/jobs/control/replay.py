"""Replay: dead letters get another life. It is a retry by hand, which takes them out of the dead-letter index."""

import msgspec

from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.index_walk import Walk
from leaseway.errors import InvalidInputError, NotFoundError
from leaseway.jobs import queue
from leaseway.jobs.control.control import apply_as_seen, plan_retry
from leaseway.jobs.control.pacing import restart_paced
from leaseway.jobs.find.read import JobNotFoundError, read_job_item
from leaseway.jobs.find.selection import dead_letter_index
from leaseway.jobs.job import Job
from leaseway.jobs.table import job_from_item
from leaseway.settings import settings

LARGEST_REPLAY = 100
"""Jobs that one call replays at most: some hundred writes, a few seconds."""


class DeadLetterNotFoundError(NotFoundError):
    """There is no such dead letter."""

    code = "DEAD_LETTER_NOT_FOUND"


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did, and the dead letters still there as far as it counted (`LIST_KEY_BUDGET` of them at most)."""

    jobs: list[Job]
    left: int

    @property
    def last_starts_at(self) -> int | None:
        """When the last one's turn comes (ms since the epoch); None if there is none."""
        return max((job.run_after or job.updated_at for job in self.jobs), default=None)


def replay(job_id: str) -> Job:
    """Try one dead letter again, at once. One read, one write of five units and one send.

    Raises:
        DeadLetterNotFoundError: there is none of this id.
        VersionMovedError: another change came first.
    """
    try:
        job = read_job_item(job_id, owner=None)
    except JobNotFoundError:
        raise DeadLetterNotFoundError(job_id=job_id) from None
    if job.dead_lettered_at is None:
        raise DeadLetterNotFoundError(job_id=job_id)
    again = apply_as_seen(job, plan_retry)
    queue.send([queue.build_message(again)])
    return again


def replay_all(limit: int = LARGEST_REPLAY) -> Replayed:
    """Try up to `limit` dead letters again, those first that were given up first, paced at `REPLAY_RATE` a second.

    Of those, the oldest start first. Reads a key for each dead letter, up to `LIST_KEY_BUDGET`; for each that it
    replays a read, a write of five units and a tenth of a send; and a write for their stretch of time. One that
    another change moves first is passed over.

    Raises:
        InvalidInputError: the limit is not in 1 to 100.
        UnavailableError: DynamoDB kept some back, or other calls replay at this very moment; nothing was changed.
    """
    if not 1 <= limit <= LARGEST_REPLAY:
        raise InvalidInputError(f"limit is from 1 to {LARGEST_REPLAY}", field="limit")
    oldest_first = msgspec.structs.replace(dead_letter_index(), descending=False)
    walk = Walk(oldest_first, None, settings().list_key_budget)
    outcomes = restart_paced(_take(walk, limit))
    jobs = [outcome.job for outcome in outcomes if outcome.refusal is None]
    return Replayed(jobs, len(walk.take(settings().list_key_budget)))


def _take(walk: Walk, limit: int) -> list[Job]:
    """Take the next dead letters; keys are passed over of jobs that have expired, or are dead letters no more."""
    dead_letters: list[Job] = []
    while len(dead_letters) < limit and (keys := walk.take(limit - len(dead_letters))):
        read = read_items("jobs_table", [key.id for key in keys], consistent=True)
        items = {item["id"]["S"]: item for item in read}
        jobs = (job_from_item(items[key.id]) for key in keys if key.id in items)
        dead_letters += [job for job in jobs if job is not None and job.dead_lettered_at is not None]
    return dead_letters
