"""The jobs table and the job as the rest of the domain sees it."""

import zlib
from enum import StrEnum
from typing import Any

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from leaseway import clock
from leaseway.dynamodb.table import Item, Table
from leaseway.errors import InvalidInputError
from leaseway.jobs import attempts
from leaseway.jobs.attempts import Attempt
from leaseway.settings import settings


class JobStatus(StrEnum):
    """Where a job stands: CREATED and RUNNING are alive, the others are its end."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """No transition leaves it by itself."""
        return self not in LIVE


LIVE = (JobStatus.CREATED, JobStatus.RUNNING)


def parse_status(text: str) -> JobStatus:
    """A status by name; FINISHED is Tasker's word for COMPLETED.

    Raises:
        InvalidInputError: there is no such status.
    """
    try:
        return JobStatus.COMPLETED if text == "FINISHED" else JobStatus(text)
    except ValueError:
        known = ", ".join(JobStatus.__members__)
        raise InvalidInputError(f"unknown status {text!r}; there are {known}", field="status") from None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job at one moment. Times are milliseconds since the epoch, UTC."""

    id: str
    type: str
    payload: dict[str, Any]
    owner: str
    status: JobStatus
    result: dict[str, Any] | None = None
    error_message: str | None = None
    ttl_ms: int
    attempts: int = 0
    crashes: int = 0
    max_attempts: int
    worker: str | None = None
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    updated_at: int
    run_after: int | None = None
    deadline: int | None = None
    lease_until: int | None = None
    fence: int = 0
    version: int = 1
    claim_token: str | None = None
    payload_key: str | None = None
    result_key: str | None = None
    look_at: int | None = None
    dead_lettered_at: int | None = None
    retention_days: int | None = None
    """How long it is kept once it is finished, where it was created with a time of its own."""
    expires_at: int | None = None
    """When it is gone, in seconds since the epoch; None while it is alive."""
    attempts_before: int | None = None
    """Attempts made before the last retry by hand; None where there was none."""
    task_id: str | None = None
    """The recurring task that made it."""
    order_key: str | None = None
    """Jobs of its owner with the same one start one by one, in the order of creation."""
    queue: str | None = None
    """Names its queue; None for the normal one, and for the one of tasks where a task made it."""
    slot: int | None = None
    """The slot of its schedule that it runs for; None where somebody started it by hand."""
    tags: tuple[str, ...] = ()
    history: tuple[Attempt, ...] = ()
    """Attempts that did not complete; `attempts.of` adds the last one."""
    progress: int | None = None
    """Thousandths of the work that the last attempt told to be done; None where it told nothing."""
    progress_note: str | None = None


class OwnerIndex(GlobalSecondaryIndex[Any]):
    """All jobs of an owner, by creation."""

    class Meta:  # noqa: D106
        index_name = "owner"
        projection = KeysOnlyProjection()

    owner_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class LiveIndex(GlobalSecondaryIndex[Any]):
    """CREATED and RUNNING jobs, by the time the sweeper looks at them next. Sparse: finished jobs are not in it."""

    class Meta:  # noqa: D106
        index_name = "live"
        projection = KeysOnlyProjection()

    live_key = UnicodeAttribute(hash_key=True)
    look_at = NumberAttribute(range_key=True)


class OwnerOutcomeIndex(GlobalSecondaryIndex[Any]):
    """Finished jobs of an owner in one status, by creation."""

    class Meta:  # noqa: D106
        index_name = "owner_outcome"
        projection = KeysOnlyProjection()

    owner_outcome_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class OutcomeIndex(GlobalSecondaryIndex[Any]):
    """Finished jobs of all owners in one status, by creation."""

    class Meta:  # noqa: D106
        index_name = "outcome"
        projection = KeysOnlyProjection()

    outcome_key = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class DeadLetterIndex(GlobalSecondaryIndex[Any]):
    """Jobs whose message no claim ever settled, by when they were given up. Sparse: others are not in it."""

    class Meta:  # noqa: D106
        index_name = "dead_letter"
        projection = KeysOnlyProjection()

    dead_letter_key = UnicodeAttribute(hash_key=True)
    dead_lettered_at = NumberAttribute(range_key=True)


class JobModel(Table):
    """One item a job. Index keys are absent where the job does not belong in the index."""

    table_setting = "jobs_table"

    class Meta:  # noqa: D106
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


_JOB_FIELDS = frozenset(Job.__struct_fields__)
_JSON_FIELDS = frozenset({"payload", "result"})


def job_from_item(item: Item) -> Job | None:
    """The job in an item; None where the item has expired but is not yet removed by DynamoDB.

    A payload or result that lives in the bucket is left empty here; `payload_key` and `result_key` say where it is.
    """
    fields: dict[str, Any] = {}
    for name, typed in item.items():
        kind, value = next(iter(typed.items()))
        fields[name] = int(value) if kind == "N" else value
    if fields.get("expires_at", clock.now_ms()) * 1000 <= clock.now_ms():
        return None
    known = {name: value for name, value in fields.items() if name in _JOB_FIELDS}
    for name in _JSON_FIELDS & known.keys():
        known[name] = msgspec.json.decode(known[name])
    known.setdefault("payload", {})
    known["history"] = attempts.parse(known["history"]) if "history" in known else ()
    known["tags"] = tuple(sorted(known.get("tags", ())))
    known["status"] = JobStatus(known["status"])
    return Job(**known)
