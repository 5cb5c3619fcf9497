"""Creating a job under an Idempotency-Key: a repeat creates no second one, and returns the first as it was created.

The key determines the job's id, and its record is put in one transaction with the job. Which request may take an
ordered job back that SQS did not take is decided by the record's holder:

    first   --job, record--> send hangs ------------------------------- fails: delete both if no repeat holds the record
    repeat                    refused; holds the record, sends -> 202     ^ refused: the repeat has answered for the job
"""

import uuid
from typing import Any

import msgspec

from leaseway.dynamodb.table import Item
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled, transact_with_retries
from leaseway.errors import ConflictError, OutcomeUnknownError, RepeatableOutcomeUnknownError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyedRequest, KeyReusedError, WorkMovedError
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import resolve_start
from leaseway.jobs.create.options import Options
from leaseway.jobs.create.rows import delete_expired, is_as_created, is_never_claimed
from leaseway.jobs.job import Job
from leaseway.jobs.order_limit import OrderKeyFullError, count_part
from leaseway.jobs.table import JobModel, job_from_item, model_from_job
from leaseway.settings import settings

NOT_IN_TURN = "SQS did not take the job in its turn; try again"

_DIGITS = 32
_IN_EVERY_DIGEST = frozenset(
    {
        "tags",
        "ttl_ms",
        "max_attempts",
        "run_at",
        "delay_seconds",
        "priority",
        "retention_days",
        "order_key",
    }
)
"""Options of the first release; others belong to a request's digest only if they are set."""


class _FirstAnswer(msgspec.Struct, frozen=True):
    """What the record of a key stores of its job besides what every repeat of the request brings."""

    created_at: int
    ttl_ms: int
    max_attempts: int


def choose_job_id(key: IdempotencyKey) -> str:
    """The id of the job that a key creates."""
    return key.digest[:_DIGITS]


def create_once(job: Job, options: Options, key: IdempotencyKey) -> Job:
    """Store and send `job`, whose id the key determines, or return the job that the key created before.

    One transaction, 6 write units; a payload in the bucket costs a read or two more, so that a repeat writes no object.

    Raises:
        KeyReusedError: the key created another job.
        OrderKeyFullError: the order key has `ORDERED_JOBS` live jobs.
        UnavailableError: a table or SQS did not take it; no job was created.
        WorkMovedError: a repeat of this request has taken over.
        RepeatableOutcomeUnknownError: an answer was lost; a repeat settles what became of the job.
    """
    keyed = KeyedRequest.of(key, job.type, job.payload, *_list_options(job, options))
    first_answer = _find_first_answer(job, keyed) or _insert_with_tags(job, keyed)
    if first_answer is None:
        return _send(job, keyed, holder=None)
    earlier = _restore_as_created(job, options, first_answer)
    if job.order_key is not None and _is_unclaimed(job.id):
        _send(earlier, keyed, holder=_take_over(keyed))  # the first request may have died before it sent
    return earlier


def _list_options(job: Job, options: Options) -> list[Any]:
    """The options that make one request differ from another, in the form that earlier releases stored the digest of."""
    turn = (options.run_at, options.delay_seconds, options.priority, options.order_key)
    listed = [options.ttl_ms, options.max_attempts, turn, job.tags, options.retention_days]
    later = {name: value for name, value in msgspec.structs.asdict(options).items() if name not in _IN_EVERY_DIGEST}
    set_later = {name: value for name, value in later.items() if value is not None}
    return [*listed, set_later] if set_later else listed


def _find_first_answer(job: Job, keyed: KeyedRequest) -> _FirstAnswer | None:
    """Look for the first answer before an object is written; only the transaction decides if there is none."""
    if content.fits_inline(job.payload):
        return None
    record = keyed.find_record()
    if record is not None:
        return _decode(keyed.replay(record))
    item = JobModel.read(job.id)
    return None if item is None or job_from_item(item) is None else _read_as_created(item, keyed)


def _insert_with_tags(job: Job, keyed: KeyedRequest) -> _FirstAnswer | None:
    """Write the rows of the job's tags, then the job; delete the rows if it was not this job that was stored."""
    if tags.insert_rows([job]):
        tags.delete_rows([job])
        raise UnavailableError("the table of tags did not take the job's; try again")
    try:
        first_answer = _insert(job, keyed)
    except ConflictError:
        tags.delete_rows([job])
        raise
    if first_answer is not None and first_answer.created_at != job.created_at:  # equal, the rows are the first job's
        tags.delete_rows([job])
    return first_answer


def _insert(job: Job, keyed: KeyedRequest) -> _FirstAnswer | None:
    """Put the job together with its key's record; returns the first answer if the key created a job before.

    The record outlives the job: one that was removed is not created again while the record of its key exists.
    """
    request = keyed.content[:_DIGITS]
    # An object is written once: another request under the same key must not touch the first one's payload.
    payload = content.store(job.payload, job.owner, job.id, f"payload-{request}")
    answer = _FirstAnswer(job.created_at, job.ttl_ms, job.max_attempts)
    parts = [
        JobModel.put_part(model_from_job(job, payload, request), JobModel.id.does_not_exist()),
        keyed.record(msgspec.json.encode(answer).decode()),
    ]
    if job.order_key is not None:
        parts.append(count_part(job.owner, job.order_key, 1))
    return transact_until_settled(
        lambda: parts,
        lambda cancelled: _settle_refusal(job.id, keyed, cancelled),
        busy="others use the same Idempotency-Key just now; try again",
    )


def _settle_refusal(job_id: str, keyed: KeyedRequest, cancelled: TransactionCancelledError) -> _FirstAnswer | None:
    """The first answer, from what refused the transaction; None if another try may succeed. Deletes an expired job."""
    if cancelled.is_passing:
        return None
    of_job, of_record, *of_count = cancelled.reasons
    if of_record.refused and of_record.item is not None:
        return _decode(keyed.replay(of_record.item))
    if not of_job.refused and any(reason.refused for reason in of_count):
        raise OrderKeyFullError(limit=settings().ordered_jobs)
    item = of_job.item or {}
    if item and job_from_item(item) is not None:
        return _read_as_created(item, keyed)
    delete_expired(job_id)
    return None


def _decode(answer: str) -> _FirstAnswer:
    return msgspec.json.decode(answer, type=_FirstAnswer)


def _read_as_created(item: Item, keyed: KeyedRequest) -> _FirstAnswer:
    """Read the first answer from the job, whose record has expired."""
    if item["asked"]["S"] != keyed.content[:_DIGITS]:
        raise KeyReusedError
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


def _is_unclaimed(job_id: str) -> bool:
    item = JobModel.read(job_id)
    job = job_from_item(item) if item is not None else None
    return job is not None and is_as_created(job)


def _take_over(keyed: KeyedRequest) -> str | None:
    """Hold the key's record, so that no other request takes the job back; None if the record has expired."""
    if keyed.find_record() is None:
        return None
    holder = uuid.uuid4().hex
    keyed.hold(holder)
    return holder


def _send(job: Job, keyed: KeyedRequest, *, holder: str | None) -> Job:
    """Send the job's message. An ordered job that SQS does not take is deleted with its record."""
    unsent = queue.send_when_due([job])
    if job.id in unsent and job.order_key is not None and _take_back(job, keyed, holder):
        raise UnavailableError(NOT_IN_TURN)
    return job


def _take_back(job: Job, keyed: KeyedRequest, holder: str | None) -> bool:
    """Delete an unsent job together with its key's record; returns False if it had been sent after all."""
    try:
        transact_with_retries([JobModel.remove_part(job.id, is_never_claimed()), keyed.forget_part(holder)])
    except TransactionCancelledError as cancelled:
        if cancelled.reasons[0].refused:
            return False  # a worker has claimed it
        raise WorkMovedError from cancelled
    except (UnavailableError, OutcomeUnknownError) as failure:
        raise RepeatableOutcomeUnknownError from failure
    tags.delete_rows([job])
    return True
