"""Building the job that a request describes, checked in full. Nothing is written here."""

import uuid
from typing import Any, NamedTuple

from leaseway import clock
from leaseway.errors import InvalidInputError
from leaseway.jobs.create.options import JobRequest, Options
from leaseway.jobs.create.placement import choose_queue, read_requested_queue
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.tag_syntax import check_tags
from leaseway.jobs.transitions import plan_first_look
from leaseway.jobs.types import JobType, job_type
from leaseway.settings import settings

DAY_MS = 86_400_000
SHORTEST_TTL_MS = 100
MOST_ATTEMPTS = 20
LONGEST_DELAY_MS = 366 * DAY_MS
LONGEST_EXPIRY_MS = 366 * DAY_MS


class Terms(NamedTuple):
    """A job's time to live from each attempt's start, its attempts, the queue it waits in, and its type's lease."""

    ttl_ms: int
    max_attempts: int
    queue: str | None = None
    type_lease_ms: int | None = None


class TtlTooLongError(InvalidInputError):
    """No worker for this job type can run a job for that long."""

    code = "TTL_TOO_LONG"


def build_job(owner: str, request: JobRequest, *, job_id: str | None = None) -> Job:
    """Build the job of a request, under `job_id` or a fresh id. Raises what `create_job` raises of the input."""
    options = request.options
    terms = resolve_terms(owner, request.type, request.payload, options)
    now = clock.now_ms()
    start = resolve_start(options, now) or now
    _check_retention(options.retention_days, now, start)
    _check_expiry(options.expires_after_ms, start - now)
    return _assemble(owner, request, terms, created_at=now, job_id=job_id or uuid.uuid4().hex)


def rebuild_job(owner: str, request: JobRequest, defaults: Terms, *, created_at: int, job_id: str) -> Job:
    """Build the job of a request that was checked before, with the defaults that its type had then."""
    options = request.options
    terms = Terms(
        defaults.ttl_ms if options.ttl_ms is None else options.ttl_ms,
        defaults.max_attempts if options.max_attempts is None else options.max_attempts,
        defaults.queue or read_requested_queue(options),
        defaults.type_lease_ms,
    )
    return _assemble(owner, request, terms, created_at=created_at, job_id=job_id)


def _assemble(owner: str, request: JobRequest, terms: Terms, *, created_at: int, job_id: str) -> Job:
    options = request.options
    run_after = resolve_start(options, created_at)
    expiry = options.expires_after_ms
    start_before = None if expiry is None else created_at + expiry
    return new_job(
        owner,
        request.type,
        request.payload,
        terms,
        created_at=created_at,
        id=job_id,
        tags=check_tags(options.tags),
        order_key=options.order_key,
        retention_days=options.retention_days,
        run_after=run_after,
        look_at=_plan_look(run_after or created_at, start_before),
        expires_after_ms=options.expires_after_ms,
        start_before=start_before,
    )


def _plan_look(start: int, start_before: int | None) -> int:
    look_at = plan_first_look(start)
    return look_at if start_before is None else min(look_at, start_before)


def read_default_terms(type_name: str) -> Terms:
    """The terms of a job of this type without options."""
    kind = job_type(type_name)
    return Terms(kind.default_ttl_ms, kind.default_max_attempts, kind.own_queue, kind.type_lease_ms)


def resolve_terms(owner: str, type_name: str, payload: dict[str, Any], options: Options) -> Terms:
    """The terms of a job of this description, with defaults filled in. Raises what `create_job` raises of the input."""
    kind = job_type(type_name)
    ttl_ms = _resolve_ttl(kind, options.ttl_ms)
    kind.require_valid(payload, owner, ttl_ms)
    return Terms(ttl_ms, _resolve_attempts(kind, options.max_attempts), choose_queue(kind, options), kind.type_lease_ms)


def new_job(
    owner: str,
    type_name: str,
    payload: dict[str, Any],
    terms: Terms,
    *,
    created_at: int | None = None,
    **fields: Any,
) -> Job:
    """A CREATED job that is not yet stored; `fields` are those of `Job` that differ from a plain new job's."""
    now = clock.now_ms() if created_at is None else created_at

    plain: dict[str, Any] = {"id": uuid.uuid4().hex, "look_at": plan_first_look(now)}
    return Job(
        type=type_name,
        payload=payload,
        owner=owner,
        status=JobStatus.CREATED,
        ttl_ms=terms.ttl_ms,
        max_attempts=terms.max_attempts,
        queue=terms.queue,
        type_lease_ms=terms.type_lease_ms,
        created_at=now,
        updated_at=now,
        **plain | fields,
    )


def resolve_start(options: Options, now: int) -> int | None:
    """The time before which no attempt starts (ms since the epoch); None if it may start at once.

    Raises:
        InvalidInputError: both are set, or one is out of bounds.
    """
    run_at, delay_seconds = options.run_at, options.delay_seconds
    if run_at is not None and delay_seconds is not None:
        raise InvalidInputError("run_at and delay_seconds exclude each other", field="delay_seconds")
    if delay_seconds is not None and delay_seconds < 0:
        raise InvalidInputError("must not be negative", field="delay_seconds")
    start = now + (delay_seconds or 0) * 1000 if run_at is None else run_at
    if start > now + LONGEST_DELAY_MS:
        raise InvalidInputError("must be within a year", field="delay_seconds" if run_at is None else "run_at")
    return start if start > now else None


def _resolve_ttl(kind: JobType, ttl_ms: int | None) -> int:
    resolved = kind.default_ttl_ms if ttl_ms is None else ttl_ms
    if resolved < SHORTEST_TTL_MS:
        raise InvalidInputError(f"must be at least {SHORTEST_TTL_MS}", field="ttl_ms")
    if resolved > kind.longest_ttl_ms:
        external = kind.runs_on == "external"
        why = "SQS hides a message for 12 hours" if external else "a Lambda invocation ends at 15 minutes"
        raise TtlTooLongError(f"must be at most {kind.longest_ttl_ms}: {why}", field="ttl_ms")
    return resolved


def _resolve_attempts(kind: JobType, max_attempts: int | None) -> int:
    resolved = kind.default_max_attempts if max_attempts is None else max_attempts
    if not 1 <= resolved <= MOST_ATTEMPTS:
        raise InvalidInputError(f"must be from 1 to {MOST_ATTEMPTS}", field="max_attempts")
    return resolved


def _check_expiry(expires_after_ms: int | None, delay_ms: int) -> None:
    if expires_after_ms is not None and not delay_ms < expires_after_ms <= LONGEST_EXPIRY_MS:
        why = f"must be from {delay_ms + 1}, so that it can start at all, to {LONGEST_EXPIRY_MS}"
        raise InvalidInputError(why, field="expires_after_ms")


def _check_retention(days: int | None, created_at: int, start: int) -> None:
    # The bucket counts from the payload's writing, the job from its end; the day in between is for its attempts.
    waiting_days = -(-(start - created_at) // DAY_MS)
    longest = settings().object_days - 1 - waiting_days
    if days is not None and not 1 <= days <= longest:
        why = f"must be from 1 to {longest}: the bucket keeps nothing longer"
        raise InvalidInputError(why, field="retention_days")
