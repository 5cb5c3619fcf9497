"""Creating a job: checked in full, stored, then sent."""

import contextlib
import uuid
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

import msgspec

from leaseway import clock
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError, transact_with_retries
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyedRequest, KeyReusedError, forget_key
from leaseway.jobs import content, queue
from leaseway.jobs import tags as tagging
from leaseway.jobs.create import placement
from leaseway.jobs.create.placement import Asked, Priority
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import JobModel, model_from_job
from leaseway.jobs.transitions import plan_first_look
from leaseway.jobs.types import JobType, job_type
from leaseway.settings import settings

_DIGITS = 32
_TRIES = 6
_BACKOFF = Backoff(first=0.02)
DAY_MS = 86_400_000
SHORTEST_TTL_MS = 100
MOST_ATTEMPTS = 20
LONGEST_DELAY_MS = 366 * DAY_MS


class Terms(NamedTuple):
    """On what terms a job runs: its time to live from each attempt's start, its attempts, and the queue it waits in."""

    ttl_ms: int
    max_attempts: int
    queue: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a job beside its type and payload. `run_at` is in ms since the epoch."""

    tags: Sequence[str] = ()
    ttl_ms: int | None = None
    max_attempts: int | None = None
    run_at: int | None = None
    delay_seconds: int | None = None
    priority: Priority | None = None
    retention_days: int | None = None
    order_key: str | None = None


NOTHING_SAID = Options()


class _Made(msgspec.Struct, frozen=True):
    """What the record of a key tells of its job beside what the same request says again."""

    created_at: int
    ttl_ms: int
    max_attempts: int


class TtlTooLongError(InvalidInputError):
    """No worker that takes such a job can keep it that long."""

    code = "TTL_TOO_LONG"


def create_job(
    owner: str,
    type_name: str,
    payload: dict[str, Any],
    options: Options = NOTHING_SAID,
    *,
    key: IdempotencyKey | None = None,
) -> Job:
    """Store a job as CREATED and send its message. One PutItem (3 write units under 1 KB) and one send.

    With `tags`, one BatchWriteItem before it puts a row for each, a unit each.

    Where the send fails the job is there all the same, and the sweeper sends it. Owner, route and text of a `key`
    make the job's id, and its record is put in one transaction with the job (6 write units): a repeat is one that is
    refused, and gets the job as it was created, also if it was removed since. A job with `run_at` (ms since
    the epoch) or `delay_seconds` is not claimed before that; SQS holds its message for up to 900 s, the sweeper sends
    it where it is due later, and no worker ever waits for it. Finished, it is kept for `retention_days`, else for
    `RETENTION_DAYS`. Jobs with one `order_key` start one by one, in the order of creation; where the message of one
    cannot be sent in its turn, there is no job.

    Raises:
        UnknownJobTypeError: no executor has the type; a job of it would hang for ever.
        InvalidInputError: the payload does not fit the type, a number is out of bounds, or two things exclude each
            other, as a priority and an order; names the field.
        TtlTooLongError: the time to live is longer than an invocation can be, or than 11 hours outside Lambda.
        KeyReusedError: the key made another job.
        UnavailableError: the table of tags did not take the rows, or SQS an ordered message; no job was created.
    """
    job = new_checked_job(owner, type_name, payload, options)
    if key is not None:
        job = msgspec.structs.replace(job, id=key.digest[:_DIGITS])
        turn = (options.run_at, options.delay_seconds, options.priority, options.order_key)
        rest = (options.ttl_ms, options.max_attempts, turn, job.tags, options.retention_days)
        keyed = KeyedRequest.of(key, type_name, payload, *rest)
        if earlier := _insert_with_tags(job, lambda: _insert_once(job, keyed)):
            if job.order_key is not None:
                queue.send_when_due([earlier])  # the first request may have died before it could; twice is once
            return _delayed(earlier, options)
    else:
        _insert_with_tags(job, lambda: _insert(job))
    if delete_unsent(queue.send_when_due([job]), [job]):
        if key is not None:
            forget_key(key)
        raise UnavailableError(NOT_IN_TURN)
    return job


NOT_IN_TURN = "SQS did not take the job in its turn; try again"


def delete_unsent(unsent: Container[str], jobs: Sequence[Job]) -> set[str]:
    """Remove the unsent ones of jobs that keep an order: sent later, they would start after younger ones.

    Returns their ids. One that was claimed meanwhile had been sent after all, and stays.
    """
    lost = [job for job in jobs if job.order_key is not None and job.id in unsent and _remove_unclaimed(job)]
    tagging.disown(lost)
    return {job.id for job in lost}


def _remove_unclaimed(job: Job) -> bool:
    nobody_has_it = (JobModel.status == JobStatus.CREATED.value) & (JobModel.fence == 0)
    try:
        JobModel.remove(job.id, nobody_has_it)
    except ConditionRefusedError:
        return False
    return True


def new_checked_job(owner: str, type_name: str, payload: dict[str, Any], options: Options) -> Job:
    """A job of this description with a fresh id, not yet stored. Raises what `create_job` raises."""
    terms = checked(owner, type_name, payload, options)
    job = _delayed(new_job(owner, type_name, payload, terms), options)
    job = msgspec.structs.replace(job, tags=tagging.checked(options.tags), order_key=options.order_key)
    return job if options.retention_days is None else _kept_for(job, options.retention_days)


def _kept_for(job: Job, days: int) -> Job:
    # The bucket counts from the payload's writing, the job from its end; the day in between is its attempts'.
    waits = -(-((job.run_after or job.created_at) - job.created_at) // DAY_MS)
    longest = settings().object_days - 1 - waits
    if not 1 <= days <= longest:
        why = f"must be from 1 to {longest}: the bucket keeps nothing longer"
        raise InvalidInputError(why, field="retention_days")
    return msgspec.structs.replace(job, retention_days=days)


def checked(owner: str, type_name: str, payload: dict[str, Any], options: Options) -> Terms:
    """On what terms a job of this description runs, defaults filled in. Raises what `create_job` raises."""
    kind = job_type(type_name)
    ttl_ms = _checked_ttl(kind, options.ttl_ms)
    kind.require_valid(payload, owner, ttl_ms)
    delayed = options.run_at is not None or options.delay_seconds is not None
    return Terms(
        ttl_ms,
        _checked_attempts(kind, options.max_attempts),
        placement.queue_of(kind, Asked(options.priority, options.order_key, delayed)),
    )


def _checked_ttl(kind: JobType, ttl_ms: int | None) -> int:
    chosen = kind.default_ttl_ms if ttl_ms is None else ttl_ms
    if chosen < SHORTEST_TTL_MS:
        raise InvalidInputError(f"must be at least {SHORTEST_TTL_MS}", field="ttl_ms")
    if chosen > kind.longest_ttl_ms:
        external = kind.runs_on == "external"
        why = "SQS hides a message for 12 hours" if external else "a Lambda invocation ends at 15 minutes"
        raise TtlTooLongError(f"must be at most {kind.longest_ttl_ms}: {why}", field="ttl_ms")
    return chosen


def _checked_attempts(kind: JobType, max_attempts: int | None) -> int:
    chosen = kind.default_max_attempts if max_attempts is None else max_attempts
    if not 1 <= chosen <= MOST_ATTEMPTS:
        raise InvalidInputError(f"must be from 1 to {MOST_ATTEMPTS}", field="max_attempts")
    return chosen


def _delayed(job: Job, options: Options) -> Job:
    run_at, delay_seconds = options.run_at, options.delay_seconds
    if run_at is not None and delay_seconds is not None:
        raise InvalidInputError("run_at and delay_seconds exclude each other", field="delay_seconds")
    due = job.created_at + (delay_seconds or 0) * 1000 if run_at is None else run_at
    if delay_seconds is not None and delay_seconds < 0:
        raise InvalidInputError("must not be negative", field="delay_seconds")
    if due > job.created_at + LONGEST_DELAY_MS:
        raise InvalidInputError("must be within a year", field="delay_seconds" if run_at is None else "run_at")
    if due <= job.created_at:
        return job  # its turn has come already
    return msgspec.structs.replace(job, run_after=due, look_at=plan_first_look(due))


def new_job(owner: str, type_name: str, payload: dict[str, Any], terms: Terms) -> Job:
    """A job as it is created, not yet stored."""
    now = clock.now_ms()
    return Job(
        id=uuid.uuid4().hex,
        type=type_name,
        payload=payload,
        owner=owner,
        status=JobStatus.CREATED,
        ttl_ms=terms.ttl_ms,
        max_attempts=terms.max_attempts,
        queue=terms.queue,
        created_at=now,
        updated_at=now,
        look_at=now + settings().first_look_seconds * 1000,
    )


def _insert_with_tags(job: Job, insert: Callable[[], Job | None]) -> Job | None:
    """Write the rows of the job's tags, then the job; take the rows back where it was not this job that was stored."""
    if tagging.remember([job]):
        tagging.disown([job])
        raise UnavailableError("the table of tags did not take the job's; try again")
    try:
        earlier = insert()
    except KeyReusedError:
        tagging.disown([job])
        raise
    if earlier is not None:
        tagging.disown([job])
    return earlier


def _insert(job: Job) -> None:
    kept = content.store(job.payload, job.owner, job.id, "payload")
    # The id is fresh: a refusal can only mean that the SDK repeated our own put after a lost answer.
    with contextlib.suppress(ConditionRefusedError):
        JobModel.insert(model_from_job(job, kept))


def _insert_once(job: Job, keyed: KeyedRequest) -> Job | None:
    """Put the job together with its key's record, unless the key made one before; that one, as it was created.

    The record outlives the job: one that was removed is not made again while its key is kept.
    """
    asked = keyed.content[:_DIGITS]
    # An object is written once: another request under the same key must not touch the first one's payload.
    kept = content.store(job.payload, job.owner, job.id, f"payload-{asked}")
    unused = JobModel.id.does_not_exist() | (JobModel.expires_at <= job.created_at // 1000)
    made = _Made(job.created_at, job.ttl_ms, job.max_attempts)
    parts = [
        JobModel.put_part(model_from_job(job, kept, asked), unused),
        keyed.record(msgspec.json.encode(made).decode()),
    ]
    for _ in _BACKOFF.attempts(_TRIES):
        try:
            transact_with_retries(parts)
        except TransactionCancelledError as cancelled:
            if not cancelled.is_passing:
                return _as_created(job, _made_before(keyed, *cancelled.reasons))
        else:
            return None
    raise UnavailableError("others use the same Idempotency-Key just now; try again")


def _made_before(keyed: KeyedRequest, of_job: Reason, of_record: Reason) -> "_Made":
    if of_record.refused and of_record.item is not None:
        return msgspec.json.decode(keyed.replay(of_record.item), type=_Made)
    item = of_job.item or {}
    if item["asked"]["S"] != keyed.content[:_DIGITS]:
        raise KeyReusedError  # the record has expired, the job is there
    numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
    # A manual retry raises the limit by what had been used up.
    attempts = numbers["max_attempts"] - numbers.get("attempts_before", 0)
    return _Made(numbers["created_at"], numbers["ttl_ms"], attempts)


def _as_created(job: Job, made: "_Made") -> Job:
    """The job that was made before, as it was created; what no later step changes is `job`'s."""
    return msgspec.structs.replace(
        job,
        created_at=made.created_at,
        updated_at=made.created_at,
        run_after=None,
        ttl_ms=made.ttl_ms,
        max_attempts=made.max_attempts,
    )
