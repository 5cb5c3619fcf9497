"""Replay: dead letters get another life. It is a retry by hand, which takes them out of the dead-letter index.

A thousand jobs that failed together because a part they need was away would, sent together, take it away again. So a
replay of many is paced: `REPLAY_RATE` jobs a second start, and each call takes the stretch of time behind the one that
the call before it took, whoever called:

    call 1: 100 jobs |----------|
    call 2:   50 jobs           |-----|         asked for at once, starts when the first's have
    call 3: 100 jobs                  |----------|

A job waits for its turn as a delayed one does: in its message up to 900 s, beyond that for the sweeper.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from leaseway import aws, clock
from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.index_walk import Walk
from leaseway.errors import InvalidInputError, NotFoundError, UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.control.control import VersionMovedError, changed_as_seen, retrying
from leaseway.jobs.find.lists import dead_letter_index
from leaseway.jobs.find.read import JobNotFoundError, read_job_item
from leaseway.jobs.job import Job
from leaseway.jobs.table import job_from_item
from leaseway.settings import needed, settings

LARGEST_REPLAY = 100
"""Jobs that one call replays at most: some hundred writes, a few seconds."""

_TRIES = 5


class DeadLetterNotFoundError(NotFoundError):
    """There is no such dead letter."""

    code = "DEAD_LETTER_NOT_FOUND"


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did, and the dead letters still there as far as it counted (`LIST_KEY_BUDGET` of them at most)."""

    jobs: list[Job]
    left: int

    @property
    def last_starts_at(self) -> int | None:
        """When the last one's turn comes (ms since the epoch); None where there is none."""
        return max((job.run_after or job.updated_at for job in self.jobs), default=None)


def replay(job_id: str) -> Job:
    """Try one dead letter again, at once. One read, one write of five units and one send.

    Raises:
        DeadLetterNotFoundError: there is none of this id.
        VersionMovedError: somebody else moved it meanwhile.
    """
    try:
        job = read_job_item(job_id, owner=None)
    except JobNotFoundError:
        raise DeadLetterNotFoundError(job_id=job_id) from None
    if job.dead_lettered_at is None:
        raise DeadLetterNotFoundError(job_id=job_id)
    again = changed_as_seen(job, retrying)
    queue.send([queue.build_message(again)])
    return again


def replay_all(limit: int = LARGEST_REPLAY) -> Replayed:
    """Try up to `limit` dead letters again, those first that were given up first, paced at `REPLAY_RATE` a second.

    Reads a key for each dead letter, up to `LIST_KEY_BUDGET`; for each that it replays a read, a write of five units
    and a tenth of a send; and a write for their stretch of time. One that somebody moves meanwhile is passed over.

    Raises:
        InvalidInputError: the limit is not in 1 to 100.
        UnavailableError: DynamoDB kept some back; nothing was changed.
    """
    if not 1 <= limit <= LARGEST_REPLAY:
        raise InvalidInputError(f"limit is from 1 to {LARGEST_REPLAY}", field="limit")
    oldest_first = msgspec.structs.replace(dead_letter_index(), descending=False)
    walk = Walk(oldest_first, None, settings().list_key_budget)
    found = _take(walk, limit)
    jobs = list(_restarted(found)) if found else []
    queue.send_when_due(jobs)
    return Replayed(jobs, len(walk.take(settings().list_key_budget)))


def _take(walk: Walk, limit: int) -> list[Job]:
    """The next dead letters; keys are passed over of jobs that have expired, or are dead letters no more."""
    found: list[Job] = []
    while len(found) < limit and (keys := walk.take(limit - len(found))):
        read = read_items("jobs_table", [key.id for key in keys], consistent=True)
        items = {item["id"]["S"]: item for item in read}
        jobs = (job_from_item(items[key.id]) for key in keys if key.id in items)
        found += [job for job in jobs if job is not None and job.dead_lettered_at is not None]
    return found


def _restarted(jobs: Sequence[Job]) -> Iterator[Job]:
    now, start, apart = clock.now_ms(), _reserve(len(jobs)), 1000 / settings().replay_rate
    for place, job in enumerate(jobs):
        turn = start + int(place * apart)
        try:
            yield changed_as_seen(job, partial(retrying, run_after=turn if turn > now else None))
        except VersionMovedError:
            continue


def _reserve(count: int) -> int:
    """Take the next stretch of time that so many jobs need; returns its begin (ms). One write, or two after a rest."""
    for _ in range(_TRIES):
        now = clock.now_ms()
        span = -(-count * 1000 // settings().replay_rate)
        if (end := _moved("SET #until = #until + :span", "#until > :now", now, span)) is not None:
            return end - span
        if _moved("SET #until = :now + :span", "attribute_not_exists(#until) OR #until <= :now", now, span) is not None:
            return now
    raise UnavailableError("others replay at this very moment; try again")


def _moved(update: str, condition: str, now: int, span: int) -> int | None:
    """Where all reserved time ends after that change; None where the condition is false."""
    request: dict[str, Any] = {
        "TableName": needed("totals_table"),
        "Key": {"scope": {"S": "replay"}, "shard": {"S": "-"}},
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#until": "until"},
        "ExpressionAttributeValues": {":now": {"N": str(now)}, ":span": {"N": str(span)}},
        "ReturnValues": "UPDATED_NEW",
    }
    try:
        answer = aws.client("dynamodb").update_item(**request)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return None
    return int(answer["Attributes"]["until"]["N"])
