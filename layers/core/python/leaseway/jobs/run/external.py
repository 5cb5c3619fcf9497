"""Workers outside Lambda: they claim jobs of external types, which then nothing but a lease holds.

    claims --> receive, claim, delete the message ----> the worker holds the job by its claim token
    works ---> heartbeat, complete, fail: written only while that token is the job's newest and the job RUNNING
    dies ----> its lease ends; the sweeper sends a new message; the next claim takes the job over

A worker on Lambda keeps its message hidden while it works. One that speaks HTTP has no message: it is deleted by the
claim, and the sweeper is what brings the job back. Nothing else differs: fences, limits and ends are those of `claim`
and `finish`.
"""

import random
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.canonical import canonical_json
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import ConflictError, InvalidInputError, LeasewayError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyedRequest
from leaseway.jobs import content, queue
from leaseway.jobs.find.read import JobNotFoundError, read_job_item
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.lease import Lease, LeaseLostError, get_lease
from leaseway.jobs.progress import Progress, set_progress
from leaseway.jobs.queue import Hiding
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import claim, finish
from leaseway.jobs.run.claim import OutsideClaim
from leaseway.jobs.run.keyed_claims import ClaimRepeatedError, EarlierClaim, require_unused
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.jobs.types import catalogue, job_type
from leaseway.logs import log
from leaseway.settings import settings

LONGEST_WAIT_SECONDS = 10
MOST_TYPES = 10

_POLL_SECONDS = 5  # below the client's read timeout of 10 s
_TURN_SECONDS = 1  # of one queue among several
_RECEIVED_SECONDS = 30  # a message is back so soon where this process dies between receiving it and claiming its job
_OVERTIME_SECONDS = 8  # for clearing away messages that have no job left


class NotClaimableError(ConflictError):
    """The job cannot be claimed now."""

    code = "NOT_CLAIMABLE"


class ClaimEndedError(ConflictError):
    """The claim made with this Idempotency-Key no longer holds its job; claim with a new key."""

    code = "CLAIM_ENDED"


class HeartbeatResult(NamedTuple):
    """The answer to a heartbeat: RUNNING with the lease's new end (ms), or CANCELLED without a lease."""

    status: JobStatus
    deadline: int | None
    lease_until: int | None


def claim_next(
    types: Sequence[str],
    worker: str,
    wait_seconds: int = 0,
    *,
    lease_seconds: int | None = None,
    key: IdempotencyKey | None = None,
) -> Lease | None:
    """Claim the next job of some external types, its payload included; None if none came in time.

    With a `key`, a repeat gets the same job under the same token for as long as its claim holds the job, and extends
    the lease. `lease_seconds` is the length of the lease, by default the type's, or else `LEASE_SECONDS`.

    One receive, one write and one delete if a job waits; else a receive a second and queue, or one in five seconds if
    there is one type only. A key adds a read before, and a transaction and a read if a job waits. Messages of finished
    jobs, and duplicates of held ones, are deleted on the way.

    Raises:
        UnknownJobTypeError: there is no such type.
        InvalidInputError: a type runs on Lambda, or has no queue here.
        KeyReusedError: the key came with other types.
        ClaimEndedError: the key's claim no longer holds its job.
        UnavailableError: the bucket did not hand out the payload; the attempt has failed.
    """
    queues = [_find_queue(name) for name in types]
    random.shuffle(queues)  # a request for several types shall not starve the last one
    keyed = None if key is None else KeyedRequest.of(key, sorted(types))
    try:
        require_unused(keyed)
        for source, received in _receive(queues, wait_seconds):
            outside = OutsideClaim(lease_seconds or _lease_seconds_of(source.name), keyed)
            lease = _claim_received(source, received, worker, outside)
            if lease is not None:
                return _load_payload(lease)
    except ClaimRepeatedError as repeat:
        return _renew(repeat.earlier, owner=None)
    return None


def claim_known(
    job_id: str,
    worker: str,
    *,
    owner: str | None,
    lease_seconds: int | None = None,
    key: IdempotencyKey | None = None,
) -> Lease:
    """Claim this very job, its payload included. One read and one write; its message finds nothing to do later.

    `lease_seconds` and `key` are as in `claim_next`.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        NotClaimableError: it runs on Lambda, has ended, is held by another worker, or its turn comes later.
        KeyReusedError: the key came with another job.
        ClaimEndedError: the key's claim no longer holds its job.
        UnavailableError: the bucket did not hand out the payload; the attempt has failed.
    """
    keyed = None if key is None else KeyedRequest.of(key, job_id)
    try:
        require_unused(keyed)
        job = read_job_item(job_id, owner=owner)
        _require_external(job)
        outside = OutsideClaim(lease_seconds or _lease_seconds_of(job.type), keyed)
        outcome = _claim(job_id, worker, None, outside)
    except ClaimRepeatedError as repeat:
        return _renew(repeat.earlier, owner=owner)
    match outcome:
        case claim.Claimed(lease):
            return _load_payload(lease)
        case claim.Abandoned():
            raise NotClaimableError("another worker was quicker", job_id=job_id)
        case claim.Settled(reason) | claim.NotYet(reason=reason):
            raise NotClaimableError(reason, job_id=job_id)


def heartbeat(job_id: str, token: str, progress: Progress | None = None, *, owner: str | None) -> HeartbeatResult:
    """Extend the lease of the claim that got this token, and store its progress. One write unit, no read.

    The first one confirms the claim: from then on its attempt counts. For a job that was cancelled, or whose time to
    live has passed, the answer is CANCELLED: stop the work.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        LeaseLostError: the job ended otherwise, or another claim holds it.
    """
    now = clock.now_ms()
    reported = [] if progress is None else set_progress(progress)
    actions = [_extend_lease(now), JobModel.is_unconfirmed.remove(), *reported]
    try:
        item = JobModel.change(job_id, actions, _is_held_by(token, owner) & (JobModel.deadline > now))
    except ConditionRefusedError as refusal:
        return _answer_lost_lease(_require_claim(refusal.item, token, owner))
    return HeartbeatResult(JobStatus.RUNNING, int(item["deadline"]["N"]), int(item["lease_until"]["N"]))


def complete(job_id: str, token: str, result: dict[str, Any], *, owner: str | None) -> None:
    """Record the result of the claim that got this token. One read, one write of four units.

    The same result again changes nothing. A repeat reads the bucket too if the result was large.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        LeaseLostError: the result comes too late, the job ended otherwise or with another result, or another claim
            holds it.
    """
    job = _read(job_id, token, owner)
    lease = get_lease(job)
    status = job.status if lease is None else finish.complete(lease, result)
    if status is not JobStatus.COMPLETED:
        raise LeaseLostError(f"the job is {status.value}", job_id=job_id, status=status.value)
    if lease is None and canonical_json(result) != canonical_json(content.load_result(job)):
        raise LeaseLostError("the job is COMPLETED, with another result", job_id=job_id, status=status.value)


def fail(job_id: str, token: str, error: str, *, owner: str | None) -> JobStatus:
    """Record an error of the claim that got this token; returns CREATED where it is tried again, else FAILED.

    A repeat changes nothing. One read, one write of three or four units, and a send where it is tried again.

    Raises:
        JobNotFoundError: there is none, or none of this owner's.
        LeaseLostError: the error comes too late, the job ended otherwise, or another claim holds it.
    """
    job = _read(job_id, token, owner)
    lease = get_lease(job)
    status = job.status if lease is None else finish.fail(lease, error)
    if status not in (JobStatus.CREATED, JobStatus.FAILED):
        raise LeaseLostError(f"the job is {status.value}", job_id=job_id, status=status.value)
    return status


def _find_queue(type_name: str) -> Queue:
    if job_type(type_name).runs_on != "external":
        raise InvalidInputError(f"jobs of type {type_name} run on Lambda", field="types")
    if not Queue(type_name).is_deployed:
        raise InvalidInputError(f"this deployment has no queue for {type_name}", field="types")
    return Queue(type_name)


def _lease_seconds_of(type_name: str) -> int:
    return job_type(type_name).lease_seconds or settings().lease_seconds


def _require_external(job: Job) -> None:
    kind = catalogue().get(job.type)
    if kind is None or kind.runs_on != "external":
        raise NotClaimableError(f"jobs of type {job.type} run on Lambda", job_id=job.id, status=job.status.value)


def _receive(queues: Sequence[Queue], wait_seconds: int) -> Iterator[tuple[Queue, queue.Received]]:
    """Receive messages one by one: at once if there are some, else as they come until the wait is over."""
    ends = time.monotonic() + wait_seconds
    longest = _POLL_SECONDS if len(queues) == 1 else _TURN_SECONDS
    idle = len(queues) == 1  # several are looked into before any is waited for
    while True:
        turn, idle = longest if idle else 0, True
        for source in queues:
            wait = max(0, min(turn, round(ends - time.monotonic())))
            for received in queue.receive(source, wait_seconds=wait, hidden_seconds=_RECEIVED_SECONDS):
                idle = False
                yield source, received
        left = round(ends - time.monotonic())
        if left < -_OVERTIME_SECONDS or (idle and left <= 0):
            return


def _claim_received(source: Queue, received: queue.Received, worker: str, outside: OutsideClaim) -> Lease | None:
    """Claim the job of a message if it can be claimed. Deletes the message then, and that of a finished job."""
    try:
        job_id = queue.parse(received.body).job_id
    except queue.MalformedMessageError:
        log.error("not a job's message", extra={"action": "parse", "message_id": received.message_id})
        queue.delete([received.receipt], source)
        return None
    try:
        outcome = _claim(job_id, worker, received.message_id, outside)
    except ClaimRepeatedError:
        queue.hide([Hiding(received.receipt, 0)], source)
        raise
    if isinstance(outcome, claim.NotYet) and not outcome.is_duplicate:
        queue.hide([Hiding(received.receipt, clock.seconds_until(outcome.until))], source)
    elif not isinstance(outcome, claim.Abandoned):
        queue.delete([received.receipt], source)  # after the claim: a job whose message is gone is held or finished
    return outcome.lease if isinstance(outcome, claim.Claimed) else None


def _claim(job_id: str, worker: str, message_id: str | None, outside: OutsideClaim) -> claim.Outcome:
    outcome = claim.claim(job_id, worker, message_id=message_id, outside=outside)
    if isinstance(outcome, claim.Abandoned):
        outcome = claim.take_over(outcome.lease, worker, message_id=message_id, outside=outside)
    facts = {"action": "claim", "job_id": job_id, "worker": worker, "outcome": type(outcome).__name__}
    log.info("claim from outside", extra=facts)
    return outcome


def _renew(earlier: EarlierClaim, *, owner: str | None) -> Lease:
    """Return the lease of an earlier claim, extended. It stays unconfirmed: this answer may be lost as well."""
    now = clock.now_ms()
    is_held = _is_held_by(earlier.token, owner) & (JobModel.deadline > now)
    try:
        job = job_from_item(JobModel.change(earlier.job_id, [_extend_lease(now)], is_held))
    except ConditionRefusedError:
        raise ClaimEndedError(job_id=earlier.job_id) from None
    lease = None if job is None else get_lease(job)
    if lease is None:
        raise ClaimEndedError(job_id=earlier.job_id)
    return _load_payload(lease)


def _extend_lease(now: int) -> Action:
    """Return the action that extends a lease from now by the length that its claim chose."""
    length = JobModel.lease_ms | settings().lease_seconds * 1000
    return JobModel.lease_until.set(length + now)


def _load_payload(lease: Lease) -> Lease:
    try:
        return _with_payload(lease, content.load_payload(lease.job))
    except LeasewayError as failure:
        # The caller never learns of this claim, so it would send no heartbeat.
        finish.fail(lease, f"its payload could not be read: {failure.detail}")
        raise UnavailableError("the payload could not be read; the attempt has failed") from failure


def _with_payload(lease: Lease, payload: dict[str, Any]) -> Lease:
    return msgspec.structs.replace(lease, job=msgspec.structs.replace(lease.job, payload=payload))


def _is_held_by(token: str, owner: str | None) -> Condition:
    is_held: Condition = (JobModel.status == JobStatus.RUNNING.value) & (JobModel.claim_token == token)
    return is_held if owner is None else is_held & (JobModel.owner == owner)


def _read(job_id: str, token: str, owner: str | None) -> Job:
    return _require_claim(JobModel.read(job_id), token, owner)


def _require_claim(item: Item | None, token: str, owner: str | None) -> Job:
    """Read the job in an item if its newest claim is the one that got this token, or raise."""
    job = job_from_item(item) if item is not None else None
    if job is None or owner not in (None, job.owner):
        raise JobNotFoundError
    if job.claim_token is None or not secrets.compare_digest(job.claim_token.encode(), token.encode()):
        raise LeaseLostError(job_id=job.id, status=job.status.value)
    return job


def _answer_lost_lease(job: Job) -> HeartbeatResult:
    lease = get_lease(job)
    overdue = lease is not None and finish.expire(lease)
    if job.status is not JobStatus.CANCELLED and not overdue:
        raise LeaseLostError(f"the job is {job.status.value}", job_id=job.id, status=job.status.value)
    return HeartbeatResult(JobStatus.CANCELLED, None, None)
