"""Restarting many ended jobs at a pace, in the order of their creation.

A thousand jobs that failed together because a part they need was away would, sent together, take it away again. So
`REPLAY_RATE` jobs a second start, and each call takes the stretch of time behind the one that the call before it took,
whichever client called:

    call 1: 100 jobs |----------|
    call 2:   50 jobs           |-----|         requested at once, starts when the first call's jobs have started
    call 3: 100 jobs                  |----------|

A job waits for its turn as a delayed one does: in its message up to 900 s, beyond that for the sweeper. Jobs with an
`order_key` wait for each other instead: their messages are sent at once, in the order of their creation.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from leaseway import aws, clock
from leaseway.dynamodb.repetition import decide_until_written
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.control.control import apply_as_seen, plan_retry
from leaseway.jobs.job import Job
from leaseway.jobs.queue_names import Queue
from leaseway.settings import require_setting, settings

_TRIES = 5


class Outcome(NamedTuple):
    """A selected job as it is now, and why it was not changed if it was refused."""

    job: Job
    refusal: LeasewayError | None = None


def restart_paced(jobs: Sequence[Job]) -> list[Outcome]:
    """Give ended jobs another life, the oldest first, and send their messages. Jobs that have moved are refused.

    A write of four units each (five for a dead letter), a send for ten, and a write for their stretch of time.

    Raises:
        UnavailableError: other calls reserved time at this very moment; nothing was changed.
    """
    oldest_first = sorted(jobs, key=lambda job: (job.created_at, job.id))
    turns = _plan_turns(oldest_first)
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(_restart(job, turns.get(job.id)) for job in oldest_first)
    finally:
        # Also if the table failed halfway: those before it wait already.
        queue.send_when_due([outcome.job for outcome in outcomes if outcome.refusal is None])
    return outcomes


def _restart(job: Job, turn: int | None) -> Outcome:
    try:
        return Outcome(apply_as_seen(job, partial(plan_retry, run_after=turn)))
    except LeasewayError as refusal:
        return Outcome(job, refusal)


def _plan_turns(jobs: Sequence[Job]) -> dict[str, int]:
    """Plan when each job starts (ms), by its id; those that may start now have no turn."""
    paced = [job for job in jobs if not Queue.of(job).keeps_order]
    if not paced:
        return {}
    now, start, apart = clock.now_ms(), _reserve(len(paced)), 1000 / settings().replay_rate
    turns = {job.id: start + int(place * apart) for place, job in enumerate(paced)}
    return {job_id: turn for job_id, turn in turns.items() if turn > now}


def _reserve(count: int) -> int:
    """Take the next stretch of time that so many jobs need; returns its begin (ms). One write, or two after a rest."""

    def reserve() -> int | None:
        now = clock.now_ms()
        span = -(-count * 1000 // settings().replay_rate)
        if (end := _extend("SET #until = #until + :span", "#until > :now", now, span)) is not None:
            return end - span
        is_past = "attribute_not_exists(#until) OR #until <= :now"
        return None if _extend("SET #until = :now + :span", is_past, now, span) is None else now

    busy = UnavailableError("others restart jobs at the same moment; try again")
    return decide_until_written(reserve, tries=_TRIES, gives_up=busy)


def _extend(update: str, condition: str, now: int, span: int) -> int | None:
    """Extend the reserved time; returns when it ends now (ms), None if the condition is false."""
    request: dict[str, Any] = {
        "TableName": require_setting("totals_table"),
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
