"""How many live jobs an order key has, and how many it may have.

SQS looks for the next job to hand out among the first 120,000 messages of the ordered queue only. One key with more
jobs than that in front would stop every other key, so each key of an owner has a limit.

A job is counted in the transaction that stores it, and subtracted by the tally once it has ended or was deleted,
exactly once each: a crash at any point leaves the count right. It is high for the seconds by which the tally is behind,
never low; a retry by hand is added by the tally too, without regard to the limit. Only a loss of the stream's records
makes it wrong for good: if the tally stood still for the 24 hours that they are stored, the jobs that ended before stay
counted until nothing was created or ended under the key for 30 days.
"""

import hashlib

from leaseway import clock
from leaseway.counters import Counters, Steps
from leaseway.dynamodb.table import Item, Part
from leaseway.errors import ConflictError
from leaseway.jobs.job import LIVE, JobStatus
from leaseway.settings import require_setting, settings

_DAYS = 30
_SHARD = "-"
_LIVE = "live"


class OrderKeyFullError(ConflictError):
    """This order key has its largest number of live jobs; try again when some of them have ended."""

    code = "ORDER_KEY_FULL"


def counters_of_order(owner: str, order_key: str) -> Counters:
    """The counters of an owner's order key."""
    # A digest, because both may be any text.
    digest = hashlib.sha256(f"{owner}#{order_key}".encode()).hexdigest()
    return Counters(f"order#{digest}", _SHARD, _DAYS)


def count_part(owner: str, order_key: str, jobs: int) -> Part:
    """Count new jobs of an order key, in the transaction that stores them; refused if they are too many. 2 units."""
    counters = counters_of_order(owner, order_key)
    expires_at = clock.now_ms() // 1000 + _DAYS * 86_400
    room = settings().ordered_jobs - jobs
    has_room = "#live <= :room" if room < 0 else "attribute_not_exists(#live) OR #live <= :room"
    return {
        "Update": {
            "TableName": require_setting("totals_table"),
            "Key": {"scope": {"S": counters.scope}, "shard": {"S": _SHARD}},
            "UpdateExpression": "ADD #live :jobs SET #expires_at = :expires_at",
            "ConditionExpression": has_room,
            "ExpressionAttributeNames": {"#live": _LIVE, "#expires_at": "expires_at"},
            "ExpressionAttributeValues": {
                ":jobs": {"N": str(jobs)},
                ":room": {"N": str(room)},
                ":expires_at": {"N": str(expires_at)},
            },
        }
    }


def move_order(old: Item | None, new: Item | None) -> Steps:
    """What a change of a job's item adds to the count of its order key: -1 once it has ended, +1 if it is retried.

    A new job was counted when it was stored. Jobs of releases that did not count them are left out.
    """
    image = new or old
    if image is None or old is None or "order_counted" not in image:
        return {}
    step = _is_live(new) - _is_live(old)
    counters = counters_of_order(image["owner"]["S"], image["order_key"]["S"])
    return {counters: {_LIVE: step}} if step else {}


def _is_live(image: Item | None) -> bool:
    return image is not None and JobStatus(image["status"]["S"]) in LIVE
