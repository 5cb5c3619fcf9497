"""The jobs table, its indexes, and the job in an item."""

import math
import zlib
from typing import TYPE_CHECKING, Any, cast

from pynamodb.attributes import Attribute, BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from leaseway import clock
from leaseway.dynamodb.table import Item, Table
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.stored import StoredRecord, derive_attributes
from leaseway.settings import settings

if TYPE_CHECKING:
    from leaseway.jobs.content import Content


class OwnerIndex(GlobalSecondaryIndex[Any]):
    """All jobs of an owner, by creation."""

    class Meta:
        index_name = "owner"
        projection = KeysOnlyProjection()

    owner_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class LiveIndex(GlobalSecondaryIndex[Any]):
    """CREATED and RUNNING jobs, by the time the sweeper looks at them next. Sparse: finished jobs are not in it.

    Its shards are of two kinds, so that a backlog of the one never stands before the other: see `live_key`.
    """

    class Meta:
        index_name = "live"
        projection = KeysOnlyProjection()

    live_key = UnicodeAttribute(hash_key=True)
    look_at = NumberAttribute(range_key=True)


class OwnerOutcomeIndex(GlobalSecondaryIndex[Any]):
    """Finished jobs of an owner in one status, by creation."""

    class Meta:
        index_name = "owner_outcome"
        projection = KeysOnlyProjection()

    owner_outcome_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class OutcomeIndex(GlobalSecondaryIndex[Any]):
    """Finished jobs of all owners in one status, by creation."""

    class Meta:
        index_name = "outcome"
        projection = KeysOnlyProjection()

    outcome_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class EndedIndex(GlobalSecondaryIndex[Any]):
    """Ended jobs of all owners, by their end. Only if the deployment has it."""

    class Meta:
        index_name = "ended"
        projection = KeysOnlyProjection()

    ended_shard = UnicodeAttribute(hash_key=True)
    ended_key = UnicodeAttribute(range_key=True)


class DeadLetterIndex(GlobalSecondaryIndex[Any]):
    """Jobs whose message no claim ever settled, by when they were given up. Sparse: others are not in it."""

    class Meta:
        index_name = "dead_letter"
        projection = KeysOnlyProjection()

    dead_letter_key = UnicodeAttribute(hash_key=True)
    dead_lettered_at = NumberAttribute(range_key=True)


if TYPE_CHECKING:
    _Declarations = Job
else:
    _Declarations = object


# To mypy, `Job` declares the attributes: its fields are descriptors. They are derived from it below.
class JobModel(Table, _Declarations):  # type: ignore[metaclass, misc]
    """One item a job: the fields of `Job`, and what only the table needs. An item has no key of an index without it."""

    table_setting = "jobs_table"

    class Meta:
        table_name = "set by Table"

    vars().update(derive_attributes(Job, hash_key="id"))

    if TYPE_CHECKING:

        def __init__(self, **attributes: object) -> None:
            """Make an item; pynamodb checks the names."""

    # Whether an attempt stored objects of its own in the bucket; absent where none did.
    has_objects = BooleanAttribute(null=True)
    # Whether its order key's limit counts it; absent without an order key.
    order_counted = BooleanAttribute(null=True)
    # The digest of a request with an Idempotency-Key; absent without one.
    request_digest = UnicodeAttribute(null=True, attr_name="asked")
    # Random, of the last change by a client: recognizes our own write that the SDK repeated.
    change_token = UnicodeAttribute(null=True)

    owner_key = UnicodeAttribute()
    created_key = UnicodeAttribute()
    live_key = UnicodeAttribute(null=True)
    owner_outcome_key = UnicodeAttribute(null=True)
    outcome_key = UnicodeAttribute(null=True)
    dead_letter_key = UnicodeAttribute(null=True)
    ended_shard = UnicodeAttribute(null=True)
    ended_key = UnicodeAttribute(null=True)

    by_owner = OwnerIndex()
    by_look = LiveIndex()
    by_owner_outcome = OwnerOutcomeIndex()
    by_outcome = OutcomeIndex()
    by_dead_letter = DeadLetterIndex()
    by_end = EndedIndex()


def owner_key(owner: str, job_id: str) -> str:
    """Return the hash key of the owner index. Sharded, because one owner may write faster than one partition takes."""
    return f"{owner}#{owner_shard(job_id)}"


def owner_outcome_key(owner: str, status: JobStatus, job_id: str) -> str:
    """Return the hash key of the owner_outcome index."""
    return f"{owner}#{status.value}#{owner_shard(job_id)}"


def outcome_key(status: JobStatus, job_id: str) -> str:
    """Return the hash key of the outcome index."""
    return f"{status.value}#{_shard(job_id, settings().outcome_shards)}"


def dead_letter_key(job_id: str) -> str:
    """Return the hash key of the dead_letter index."""
    return str(_shard(job_id, settings().outcome_shards))


def end_shard(job_id: str) -> str:
    """Return the hash key of the ended index."""
    return str(_shard(job_id, settings().outcome_shards))


def end_key(finished_at: int, owner: str, job_id: str) -> str:
    """Return the range key of the ended index: sorts by the end, and has a mark of the owner."""
    return f"{finished_at:013d}#{owner_mark(owner)}#{job_id}"


def owner_mark(owner: str) -> str:
    """Return eight characters for an owner, so that most jobs of others are skipped by their key alone."""
    return f"{zlib.crc32(owner.encode()):08x}"


def live_key(job_id: str, *, timed: bool = False) -> str:
    """Return the hash key of the live index.

    A `timed` job is one that only the sweeper brings on, at its time: it has no message yet, or none any more, or its
    deadline is what comes next. Any other job has a message that brings it to a worker, and a look is a precaution.
    """
    if timed:
        return f"timed#{_shard(job_id, _count_timed_shards())}"
    return str(_shard(job_id, settings().outcome_shards))


def timed_keys() -> list[str]:
    """Return the hash keys of the live index for timed jobs."""
    return [f"timed#{shard}" for shard in range(_count_timed_shards())]


def waiting_keys() -> list[str]:
    """Return the hash keys of the live index for jobs that have a message."""
    return [str(shard) for shard in range(settings().outcome_shards)]


def _count_timed_shards() -> int:
    # A quarter suffices for their fewer writes, and a list or a sweep costs a query a shard.
    return math.ceil(settings().outcome_shards / 4)


def precedes_message(look_at: int | None, run_after: int | None) -> bool:
    """Return whether a delayed job's message is sent by the sweeper, which looks at it before its turn."""
    return look_at is not None and run_after is not None and look_at <= run_after


def created_key(created_at: int, job_id: str) -> str:
    """Return the range key of the lists: sorts by creation, then id."""
    return f"{created_at:013d}#{job_id}"


def owner_shard(job_id: str) -> int:
    """Return the shard of a job in the indexes by owner."""
    return _shard(job_id, settings().owner_shards)


def _shard(job_id: str, shards: int) -> int:
    return zlib.crc32(job_id.encode()) % shards


# `content.store` and `encode_history` write these fields, in the form that the item holds.
RESULT_TEXT = cast("Attribute[str]", JobModel.result)
HISTORY_TEXT = cast("Attribute[str]", JobModel.history)

_STORED = StoredRecord(Job)


def model_from_job(job: Job, content: "Content", request_digest: str | None = None) -> JobModel:
    """Convert a new job to its row, with its payload as stored; `request_digest` is that of a keyed request."""
    return JobModel(
        **_STORED.encode(job) | {"payload": content.text, "payload_key": content.key},
        request_digest=request_digest,
        order_counted=None if job.order_key is None else True,
        owner_key=owner_key(job.owner, job.id),
        created_key=created_key(job.created_at, job.id),
        live_key=live_key(job.id, timed=precedes_message(job.look_at, job.run_after)),
    )


def job_from_item(item: Item) -> Job | None:
    """Read the job in an item; None if the item has expired but is not yet removed by DynamoDB.

    A payload or result that lives in the bucket is left empty here; `payload_key` and `result_key` say where it is.
    """
    fields = {"payload": {}} | _STORED.decode(item)
    if fields.get("expires_at", clock.now_ms()) * 1000 <= clock.now_ms():
        return None
    return Job(**fields)
