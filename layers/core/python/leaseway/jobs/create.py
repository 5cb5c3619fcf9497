"""Creating a job: checked in full, stored, then sent."""

import contextlib
import uuid
from typing import Any

from leaseway import clock
from leaseway.errors import InvalidInputError
from leaseway.jobs import content, queue
from leaseway.jobs.model import Job, JobModel, JobStatus, created_key, live_key, owner_key
from leaseway.jobs.types import job_type
from leaseway.settings import settings
from leaseway.table import ConditionRefusedError

SHORTEST_TTL_MS = 100
MOST_ATTEMPTS = 20


class TtlTooLongError(InvalidInputError):
    """A job on Lambda cannot live that long."""

    code = "TTL_TOO_LONG"


def create_job(
    owner: str,
    type_name: str,
    payload: dict[str, Any],
    *,
    ttl_ms: int | None = None,
    max_attempts: int | None = None,
) -> Job:
    """Store a job as CREATED and send its message. One PutItem (3 write units under 1 KB) and one send.

    Where the send fails the job is there all the same, and the sweeper sends it.

    Raises:
        UnknownJobTypeError: no executor has the type; a job of it would hang for ever.
        InvalidInputError: the payload does not fit the type, or a number is out of bounds; names the field.
        TtlTooLongError: the time to live is longer than an invocation can be.
    """
    kind = job_type(type_name)
    parsed = kind.parse(payload)
    if kind.check is not None:
        kind.check(parsed, owner)
    job = _new_job(owner, kind.name, payload, _checked_ttl(ttl_ms), _checked_attempts(max_attempts))
    _insert(job)
    queue.send([queue.message_of(job)])
    return job


def _checked_ttl(ttl_ms: int | None) -> int:
    longest = settings().max_ttl_ms
    chosen = min(settings().default_ttl_ms, longest) if ttl_ms is None else ttl_ms
    if chosen < SHORTEST_TTL_MS:
        raise InvalidInputError(f"must be at least {SHORTEST_TTL_MS}", field="ttl_ms")
    if chosen > longest:
        raise TtlTooLongError(f"must be at most {longest}: a Lambda invocation ends at 15 minutes", field="ttl_ms")
    return chosen


def _checked_attempts(max_attempts: int | None) -> int:
    chosen = settings().default_max_attempts if max_attempts is None else max_attempts
    if not 1 <= chosen <= MOST_ATTEMPTS:
        raise InvalidInputError(f"must be from 1 to {MOST_ATTEMPTS}", field="max_attempts")
    return chosen


def _new_job(owner: str, type_name: str, payload: dict[str, Any], ttl_ms: int, max_attempts: int) -> Job:
    now = clock.now_ms()
    return Job(
        id=uuid.uuid4().hex,
        type=type_name,
        payload=payload,
        owner=owner,
        status=JobStatus.CREATED,
        ttl_ms=ttl_ms,
        max_attempts=max_attempts,
        created_at=now,
        updated_at=now,
        look_at=now + settings().first_look_seconds * 1000,
    )


def _insert(job: Job) -> None:
    kept = content.store(job.payload, job.owner, job.id, "payload")
    model = JobModel(
        job.id,
        type=job.type,
        owner=job.owner,
        status=job.status.value,
        payload=kept.text,
        payload_key=kept.key,
        ttl_ms=job.ttl_ms,
        attempts=0,
        crashes=0,
        max_attempts=job.max_attempts,
        created_at=job.created_at,
        updated_at=job.updated_at,
        fence=0,
        version=job.version,
        look_at=job.look_at,
        owner_key=owner_key(job.owner, job.id),
        created_key=created_key(job.created_at, job.id),
        live_key=live_key(job.id),
    )
    # The id is fresh: a refusal can only mean that the SDK repeated our own put after a lost answer.
    with contextlib.suppress(ConditionRefusedError):
        JobModel.insert(model)
