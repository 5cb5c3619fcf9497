"""Retention: what a job leaves behind goes when its item has gone, by the REMOVE records of the jobs table's stream.

DynamoDB removes an expired item by itself, within two days and for nothing. Its record has the item's last image,
which shows what else there is: objects in the bucket, and rows of tags.

A job whose life was plain (one claim that ended by itself, small contents, no objects of its executor) left no
object, and the bucket is not called. What an attempt left that lost its lease is found by the job's prefix.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from leaseway import clock, objects
from leaseway.dynamodb.table import Item
from leaseway.errors import LeasewayError
from leaseway.jobs import tags
from leaseway.jobs.job import JobStatus
from leaseway.logs import log

_LATE_WRITES_SECONDS = 12 * 3600
"""Nothing writes for a job so long after its end; no job of the same id can begin before a day has passed."""

_PLAIN_ENDS = (JobStatus.COMPLETED.value, JobStatus.FAILED.value)
_IN_THE_BUCKET = ("payload_key", "result_key", "has_objects")


class Cleared(msgspec.Struct):
    """What one batch did."""

    jobs: int = 0
    objects: int = 0


class NotClearedError(Exception):
    """Something of these jobs is still there; the batch must come again."""


def lag_ms(records: Iterable[Mapping[str, Any]]) -> int:
    """Return how long ago the oldest removal among them was made, to the second, which is all that a stream shows."""
    return max(0, clock.now_ms() - 1000 * min(map(_read_removal_time, records)))


def clear(records: Iterable[Mapping[str, Any]]) -> Cleared:
    """Delete what the removed jobs of a batch left. Again is harmless: what is gone costs a look.

    No call for a plain job without tags. Else one LIST and one DELETE, and a write unit for each tag.

    Raises:
        NotClearedError: something could not be deleted; the other jobs of the batch were done all the same.
    """
    report, left = Cleared(), []
    for record in records:
        image = record["dynamodb"].get("OldImage", {})
        if record["eventName"] != "REMOVE" or not {"id", "owner", "status"} <= image.keys():
            continue  # what is no job must not block the stream
        try:
            report.objects += _clear_job(image, _read_removal_time(record))
            report.jobs += 1
        except LeasewayError as failure:
            log.warning("not cleared", extra={"action": "retention", "job_id": image["id"]["S"], "why": failure.detail})
            left.append(image["id"]["S"])
    if left:
        raise NotClearedError(f"{len(left)} jobs, {left[0]} the first")
    return report


def _clear_job(image: Item, removed_at: int) -> int:
    tags.delete_rows_of_image(image)
    if not _may_have_objects(image):
        return 0
    return objects.remove_of_job(image["owner"]["S"], image["id"]["S"], _last_write(image, removed_at))


def _may_have_objects(image: Item) -> bool:
    noted = any(name in image for name in _IN_THE_BUCKET)
    claims = int(image["fence"]["N"])
    never_began = claims == 0
    ended_by_itself = claims == 1 and image["crashes"]["N"] == "0" and image["status"]["S"] in _PLAIN_ENDS
    return noted or not (never_began or ended_by_itself)


def _last_write(image: Item, removed_at: int) -> int:
    """When the job's last object was written at the latest (seconds since the epoch).

    An Idempotency-Key makes its job's id, so another job may have this id by now, and objects under the same prefix:

        first job   --finished----------12 h-----24 h or more--> expired, removed
                                          |                           second job --payload written--> created
                      objects up to here go; later ones are the second's
    """
    finished = image.get("finished_at")
    return removed_at if finished is None else min(removed_at, int(finished["N"]) // 1000 + _LATE_WRITES_SECONDS)


def _read_removal_time(record: Mapping[str, Any]) -> int:
    return int(record["dynamodb"].get("ApproximateCreationDateTime", clock.now_ms() // 1000))
