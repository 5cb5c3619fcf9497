"""The jobs table, its indexes, and the job in an item."""

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from leaseway import clock
from leaseway.dynamodb.table import Item, Table
from leaseway.jobs.attempts import decode_history, encode_history
from leaseway.jobs.job import Job, JobStatus
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
    """CREATED and RUNNING jobs, by the time the sweeper looks at them next. Sparse: finished jobs are not in it."""

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


class DeadLetterIndex(GlobalSecondaryIndex[Any]):
    """Jobs whose message no claim ever settled, by when they were given up. Sparse: others are not in it."""

    class Meta:
        index_name = "dead_letter"
        projection = KeysOnlyProjection()

    dead_letter_key = UnicodeAttribute(hash_key=True)
    dead_lettered_at = NumberAttribute(range_key=True)


class JobModel(Table):
    """One item a job. Index keys are absent where the job does not belong in the index."""

    table_setting = "jobs_table"

    class Meta:
        table_name = "set by Table"

    id = UnicodeAttribute(hash_key=True)
    type = UnicodeAttribute()
    owner = UnicodeAttribute()
    status = UnicodeAttribute()
    payload = UnicodeAttribute(null=True)
    payload_key = UnicodeAttribute(null=True)
    result = UnicodeAttribute(null=True)
    result_key = UnicodeAttribute(null=True)
    error_message = UnicodeAttribute(null=True)
    ttl_ms = NumberAttribute()
    attempts = NumberAttribute()
    crashes = NumberAttribute()
    max_attempts = NumberAttribute()
    worker = UnicodeAttribute(null=True)
    created_at = NumberAttribute()
    started_at = NumberAttribute(null=True)
    finished_at = NumberAttribute(null=True)
    updated_at = NumberAttribute()
    run_after = NumberAttribute(null=True)
    deadline = NumberAttribute(null=True)
    lease_until = NumberAttribute(null=True)
    fence = NumberAttribute()
    claim_token = UnicodeAttribute(null=True)
    version = NumberAttribute()
    look_at = NumberAttribute(null=True)
    dead_lettered_at = NumberAttribute(null=True)
    attempts_before = NumberAttribute(null=True)
    task_id = UnicodeAttribute(null=True)
    slot = NumberAttribute(null=True)
    order_key = UnicodeAttribute(null=True)
    queue = UnicodeAttribute(null=True)
    tags = UnicodeSetAttribute(null=True)
    history = UnicodeAttribute(null=True)
    progress = NumberAttribute(null=True)
    progress_note = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    retention_days = NumberAttribute(null=True)
    # Whether an attempt stored objects of its own in the bucket; absent where none did.
    has_objects = BooleanAttribute(null=True)
    # Stands for what was asked under an Idempotency-Key; absent without one.
    asked = UnicodeAttribute(null=True)

    owner_key = UnicodeAttribute()
    created_key = UnicodeAttribute()
    live_key = UnicodeAttribute(null=True)
    owner_outcome_key = UnicodeAttribute(null=True)
    outcome_key = UnicodeAttribute(null=True)
    dead_letter_key = UnicodeAttribute(null=True)

    by_owner = OwnerIndex()
    by_look = LiveIndex()
    by_owner_outcome = OwnerOutcomeIndex()
    by_outcome = OutcomeIndex()
    by_dead_letter = DeadLetterIndex()


def owner_key(owner: str, job_id: str) -> str:
    """Hash key of the owner index. Sharded, because one owner may write faster than one partition takes."""
    return f"{owner}#{owner_shard(job_id)}"


def owner_outcome_key(owner: str, status: JobStatus, job_id: str) -> str:
    """Hash key of the owner_outcome index."""
    return f"{owner}#{status.value}#{owner_shard(job_id)}"


def outcome_key(status: JobStatus, job_id: str) -> str:
    """Hash key of the outcome index."""
    return f"{status.value}#{_shard(job_id, settings().outcome_shards)}"


def dead_letter_key(job_id: str) -> str:
    """Hash key of the dead_letter index."""
    return str(_shard(job_id, settings().outcome_shards))


def live_key(job_id: str) -> str:
    """Hash key of the live index."""
    return str(_shard(job_id, settings().outcome_shards))


def created_key(created_at: int, job_id: str) -> str:
    """Range key of the lists: sorts by creation, then id."""
    return f"{created_at:013d}#{job_id}"


def owner_shard(job_id: str) -> int:
    """The shard of a job in whatever is kept by owner."""
    return _shard(job_id, settings().owner_shards)


def _shard(job_id: str, shards: int) -> int:
    return zlib.crc32(job_id.encode()) % shards


class _Codec(NamedTuple):
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_JSON = _Codec(lambda value: msgspec.json.encode(value).decode(), msgspec.json.decode)
# Every other field of a job is stored as it is.
_CODECS = {
    "status": _Codec(lambda status: status.value, JobStatus),
    "payload": _JSON,
    "result": _JSON,
    "tags": _Codec(lambda tags: set(tags) or None, lambda tags: tuple(sorted(tags))),
    "history": _Codec(lambda history: encode_history(history) if history else None, decode_history),
}


def model_from_job(job: Job, content: "Content", asked: str | None = None) -> JobModel:
    """Convert a new job to its row, with its payload as stored; `asked` is the digest of a keyed request."""
    fields = {name: getattr(job, name) for name in job.__struct_fields__ if name != "payload"}
    for name in _CODECS.keys() & fields.keys():
        fields[name] = None if fields[name] is None else _CODECS[name].encode(fields[name])
    return JobModel(
        **fields | {"payload": content.text, "payload_key": content.key},
        asked=asked,
        owner_key=owner_key(job.owner, job.id),
        created_key=created_key(job.created_at, job.id),
        live_key=live_key(job.id),
    )


def job_from_item(item: Item) -> Job | None:
    """Read the job in an item; None if the item has expired but is not yet removed by DynamoDB.

    A payload or result that lives in the bucket is left empty here; `payload_key` and `result_key` say where it is.
    """
    fields: dict[str, Any] = {"payload": {}}
    for name in item.keys() & set(Job.__struct_fields__):
        kind, value = next(iter(item[name].items()))
        stored = int(value) if kind == "N" else value
        fields[name] = _CODECS[name].decode(stored) if name in _CODECS else stored
    if fields.get("expires_at", clock.now_ms()) * 1000 <= clock.now_ms():
        return None
    return Job(**fields)
