"""Creating a job: checked in full, stored, then sent."""

import contextlib
from collections.abc import Callable, Container, Sequence
from typing import Any

import msgspec

from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError, transact_with_retries
from leaseway.errors import UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyedRequest, KeyReusedError, forget_key
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import build_job, resolve_start
from leaseway.jobs.create.options import DEFAULT_OPTIONS, JobRequest, Options
from leaseway.jobs.create.rows import is_never_claimed
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, model_from_job

NOT_IN_TURN = "SQS did not take the job in its turn; try again"

_DIGITS = 32
_TRIES = 6
_BACKOFF = Backoff(first=0.02)


class _FirstAnswer(msgspec.Struct, frozen=True):
    """What the record of a key stores of its job besides what every repeat of the request brings."""

    created_at: int
    ttl_ms: int
    max_attempts: int


def create_job(
    owner: str,
    type_name: str,
    payload: dict[str, Any],
    options: Options = DEFAULT_OPTIONS,
    *,
    key: IdempotencyKey | None = None,
) -> Job:
    """Store a job as CREATED and send its message. One PutItem (3 write units under 1 KB) and one send.

    With `tags`, one BatchWriteItem before it puts a row for each, a unit each.

    If the send fails, the job exists nevertheless, and the sweeper sends it. Owner, route and text of a `key` determine
    the job's id, and its record is put in one transaction with the job (6 write units): a repeat is refused by it, and
    gets the job as it was created, even if it was removed since. A job with `run_at` (ms since the epoch) or
    `delay_seconds` is not claimed earlier; SQS hides its message for up to 900 s, the sweeper sends it if it is due
    later, and no worker waits for it. After its end it is stored for `retention_days`, by default `RETENTION_DAYS`.
    Jobs with one `order_key` start one by one, in the order of creation; if the message of one cannot be sent in its
    turn, the job is not created.

    Raises:
        UnknownJobTypeError: no executor has the type; a job of it would never run.
        InvalidInputError: the payload does not fit the type, a number is out of bounds, or two options exclude each
            other, as a priority and an order; names the field.
        TtlTooLongError: the time to live is longer than an invocation can be, or than 11 hours outside Lambda.
        KeyReusedError: the key created another job.
        UnavailableError: the table of tags did not take the rows, or SQS an ordered message; no job was created.
    """
    request = JobRequest(type_name, payload, options)
    if key is not None:
        return _create_once(build_job(owner, request, job_id=key.digest[:_DIGITS]), options, key)
    job = build_job(owner, request)
    _insert_with_tags(job, lambda: _insert(job))
    if delete_unsent(queue.send_when_due([job]), [job]):
        raise UnavailableError(NOT_IN_TURN)
    return job


def _create_once(job: Job, options: Options, key: IdempotencyKey) -> Job:
    turn = (options.run_at, options.delay_seconds, options.priority, options.order_key)
    rest = (options.ttl_ms, options.max_attempts, turn, job.tags, options.retention_days)
    keyed = KeyedRequest.of(key, job.type, job.payload, *rest)
    if first_answer := _insert_with_tags(job, lambda: _insert_once(job, keyed)):
        earlier = _restore_as_created(job, options, first_answer)
        if job.order_key is not None:
            # The first request may have died before it sent; SQS drops a second message of the same version.
            queue.send_when_due([earlier])
        return earlier
    if delete_unsent(queue.send_when_due([job]), [job]):
        forget_key(key)
        raise UnavailableError(NOT_IN_TURN)
    return job


def delete_unsent(unsent: Container[str], jobs: Sequence[Job]) -> set[str]:
    """Delete the ordered ones of `jobs` that are in `unsent`: sent later, they would start after younger ones.

    Returns the ids of those deleted. A job that was claimed had been sent after all, and stays.
    """
    deleted = [job for job in jobs if job.order_key is not None and job.id in unsent and _delete_unclaimed(job)]
    tags.delete_rows(deleted)
    return {job.id for job in deleted}


def _delete_unclaimed(job: Job) -> bool:
    try:
        JobModel.remove(job.id, is_never_claimed())
    except ConditionRefusedError:
        return False
    return True


def _insert_with_tags(job: Job, insert: Callable[[], _FirstAnswer | None]) -> _FirstAnswer | None:
    """Write the rows of the job's tags, then the job; delete the rows if it was not this job that was stored."""
    if tags.insert_rows([job]):
        tags.delete_rows([job])
        raise UnavailableError("the table of tags did not take the job's; try again")
    try:
        first_answer = insert()
    except KeyReusedError:
        tags.delete_rows([job])
        raise
    if first_answer is not None:
        tags.delete_rows([job])
    return first_answer


def _insert(job: Job) -> None:
    payload = content.store(job.payload, job.owner, job.id, "payload")
    # The id is fresh: a refusal can only mean that the SDK repeated our own put after a lost answer.
    with contextlib.suppress(ConditionRefusedError):
        JobModel.insert(model_from_job(job, payload))


def _insert_once(job: Job, keyed: KeyedRequest) -> _FirstAnswer | None:
    """Put the job together with its key's record; returns the first answer if the key created a job before.

    The record outlives the job: one that was removed is not created again while the record of its key exists.
    """
    request = keyed.content[:_DIGITS]
    # An object is written once: another request under the same key must not touch the first one's payload.
    payload = content.store(job.payload, job.owner, job.id, f"payload-{request}")
    unused = JobModel.id.does_not_exist() | (JobModel.expires_at <= job.created_at // 1000)
    answer = _FirstAnswer(job.created_at, job.ttl_ms, job.max_attempts)
    parts = [
        JobModel.put_part(model_from_job(job, payload, request), unused),
        keyed.record(msgspec.json.encode(answer).decode()),
    ]
    for _ in _BACKOFF.attempts(_TRIES):
        try:
            transact_with_retries(parts)
        except TransactionCancelledError as cancelled:
            if not cancelled.is_passing:
                return _read_first_answer(keyed, *cancelled.reasons)
        else:
            return None
    raise UnavailableError("others use the same Idempotency-Key just now; try again")


def _read_first_answer(keyed: KeyedRequest, of_job: Reason, of_record: Reason) -> _FirstAnswer:
    if of_record.refused and of_record.item is not None:
        return msgspec.json.decode(keyed.replay(of_record.item), type=_FirstAnswer)
    item = of_job.item or {}
    if item["asked"]["S"] != keyed.content[:_DIGITS]:
        raise KeyReusedError  # the record has expired, the job still exists
    numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
    # A manual retry raises the limit by what had been used up.
    attempts = numbers["max_attempts"] - numbers.get("attempts_before", 0)
    return _FirstAnswer(numbers["created_at"], numbers["ttl_ms"], attempts)


def _restore_as_created(job: Job, options: Options, first: _FirstAnswer) -> Job:
    """The job of the first request, as it was created; `job` is what the repeat describes."""
    return msgspec.structs.replace(
        job,
        created_at=first.created_at,
        updated_at=first.created_at,
        run_after=resolve_start(options, first.created_at),
        ttl_ms=first.ttl_ms,
        max_attempts=first.max_attempts,
    )
