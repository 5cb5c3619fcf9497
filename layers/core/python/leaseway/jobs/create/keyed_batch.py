"""Creating a batch under an Idempotency-Key: a repeat creates what is missing, and returns what the first one did.

The key's record is put first, with all that a repeat cannot learn from its own request: the time, the defaults of the
types, and the refusals. Then the jobs are created in steps of up to 25: their rows of tags, one conditional put each,
their messages, and the record of the step. A request that dies leaves at most one step half done; the repeat reads
which of its jobs exist, and creates the others:

    first   record | put 0-24, send, save | put 25-39 <dies>
    repeat                                  read 25-49 | put 40-49, send 25-49, save | answer 0-49

A repeat cannot know which messages of that one step were sent, so it sends those of its jobs that no worker has
claimed. A second message of a job is harmless: the claim of the first one refuses it.
"""

import hashlib
from collections.abc import Sequence
from functools import partial

import msgspec

from leaseway import clock
from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.dynamodb.table import Item
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_with_retries
from leaseway.errors import (
    InvalidInputError,
    LeasewayError,
    OutcomeUnknownError,
    RepeatableOutcomeUnknownError,
    UnavailableError,
)
from leaseway.idempotency import KeyedRequest, KeyedWork, KeyReusedError, WorkMovedError
from leaseway.jobs import content, queue, tags
from leaseway.jobs.create.build import Terms, build_job, read_default_terms, rebuild_job
from leaseway.jobs.create.keyed import NOT_IN_TURN
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.create.rows import Stopped, insert_in_order, insert_row, is_as_created, is_never_claimed, stop
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel, job_from_item, model_from_job
from leaseway.logs import log
from leaseway.pool import Pool

_STEP = 25
_THREADS = 8
_NOT_TAGGED = "the table of tags did not take the job's; try again"
_DIGITS = 32

Outcome = Job | LeasewayError


class _Plan(msgspec.Struct, frozen=True):
    """What the first request decided, besides what every repeat of it brings."""

    created_at: int
    defaults: dict[str, Terms]
    """The terms that each type had for jobs without options."""
    refusals: dict[int, tuple[str, str, str | None]]
    """Code, detail and field of each request that was refused, by its place in the batch."""


class _Progress(msgspec.Struct):
    """Which requests are done: all before `next` but those that failed."""

    next: int = 0
    failed: list[int] = []
    created_at: dict[int, int] = {}
    """The time of jobs that a repeat created."""


def create_jobs_once(owner: str, requests: Sequence[JobRequest | LeasewayError], keyed: KeyedRequest) -> list[Outcome]:
    """Create up to 100 jobs under a key; returns for each request, in order, the job or the reason of its refusal.

    A job's id is made of the key and the job's place. One PutItem for the record, then for 25 jobs: 25 conditional
    PutItems, 8 at a time, three SendMessageBatch and one UpdateItem; as many write units as without a key, and 1 for
    the record and each of its updates if its plan is under 1 KB. A repeat of what is done is one refused PutItem.
    Ordered jobs of a key are put by one transaction, as without a key.

    What fails by no fault of the request, such as a throttled put, is the outcome of its job alone; a repeat tries it
    again. All else is recorded: a repeat returns it as it was, even if a job was removed since.

    Raises:
        KeyReusedError: the key came with another batch.
        WorkMovedError: a repeat of this request has taken over.
        UnavailableError: the record could not be put or read; no job was created.
        RepeatableOutcomeUnknownError: the answers of DynamoDB were lost.
    """
    built = [_build_or_refuse(owner, request, _choose_id(keyed, place)) for place, request in enumerate(requests)]
    work = keyed.begin(msgspec.json.encode(_make_plan(built)).decode())
    return _Batch(owner, requests, work).finish()


def _choose_id(keyed: KeyedRequest, place: int) -> str:
    return hashlib.sha256(f"{keyed.key.digest}/{place}".encode()).hexdigest()[:_DIGITS]


def _build_or_refuse(owner: str, request: JobRequest | LeasewayError, job_id: str) -> Outcome:
    if isinstance(request, LeasewayError):
        return request
    try:
        return build_job(owner, request, job_id=job_id)
    except LeasewayError as refusal:
        return refusal


def _make_plan(built: Sequence[Outcome]) -> _Plan:
    types = {job.type for job in built if isinstance(job, Job)}
    refusals = {
        place: (refusal.code, refusal.detail, getattr(refusal, "field", None))
        for place, refusal in enumerate(built)
        if isinstance(refusal, LeasewayError)
    }
    return _Plan(clock.now_ms(), {name: read_default_terms(name) for name in sorted(types)}, refusals)


class _Batch:
    """A batch on its way from its plan to its outcomes."""

    def __init__(self, owner: str, requests: Sequence[JobRequest | LeasewayError], work: KeyedWork) -> None:
        self._owner = owner
        self._requests = requests
        self._work = work
        self._plan = msgspec.json.decode(work.plan, type=_Plan)
        self._progress = _read_progress(work)
        self._failures: dict[int, LeasewayError] = {}
        self._stopped: Stopped = {}

    def finish(self) -> list[Outcome]:
        """Do the steps that are left, and return the outcome of each request."""
        if self._list_pending() and not self._work.is_first:
            self._work = self._work.take_over()
            self._progress = _read_progress(self._work)
        pending = self._list_pending()
        for start in range(0, len(pending), _STEP):
            self._do_step(pending[start : start + _STEP])
        return [self._restore_outcome(place) for place in range(len(self._requests))]

    def _list_pending(self) -> list[int]:
        places = [*self._progress.failed, *range(self._progress.next, len(self._requests))]
        return [place for place in places if place not in self._plan.refusals]

    def _do_step(self, places: Sequence[int]) -> None:
        """Create and send the jobs of these places, and save that it is done."""
        outcomes = dict(zip(places, self._store(places), strict=True))
        unsent = self._send([job for job in outcomes.values() if isinstance(job, Job)])
        for place, outcome in outcomes.items():
            if isinstance(outcome, Job) and outcome.id in unsent:
                outcomes[place] = UnavailableError(NOT_IN_TURN)
            elif isinstance(outcome, Job) and outcome.created_at != self._plan.created_at:
                self._progress.created_at[place] = outcome.created_at
        self._failures |= {place: each for place, each in outcomes.items() if isinstance(each, LeasewayError)}
        self._save(places)

    def _save(self, places: Sequence[int]) -> None:
        progress = self._progress
        progress.next = max(progress.next, places[-1] + 1)
        progress.failed = sorted({*progress.failed} - {*places} | {*self._failures})
        try:
            self._work.save(msgspec.json.encode(progress).decode())
        except WorkMovedError:
            raise
        except (UnavailableError, OutcomeUnknownError) as failure:
            # The jobs are there and sent; a repeat would look at them once more.
            log.warning("step of a batch not saved", extra={"action": "create_jobs", "error": failure.detail})

    def _store(self, places: Sequence[int]) -> list[Outcome]:
        """Store the jobs that are not there yet; returns, for each place, its job as it is stored."""
        existing = {} if self._work.is_first else self._read_existing(places)
        missing = [job for place in places if (job := self._build(place)).id not in existing]
        digest = self._work.keyed.content[:_DIGITS]
        stored = _insert(missing, digest, self._stopped)
        tags.delete_rows([job for job in missing if _is_row_unused(job, stored[job.id])])
        outcomes = {job_id: _judge_existing(item, digest) for job_id, item in existing.items()} | stored
        return [outcomes[_choose_id(self._work.keyed, place)] for place in places]

    def _read_existing(self, places: Sequence[int]) -> dict[str, Item]:
        ids = [_choose_id(self._work.keyed, place) for place in places]
        items = read_items("jobs_table", ids, consistent=True)
        return {item["id"]["S"]: item for item in items if job_from_item(item) is not None}

    def _build(self, place: int, created_at: int | None = None) -> Job:
        request = self._requests[place]
        assert isinstance(request, JobRequest)  # noqa: S101 - the others are among the plan's refusals
        now = self._plan.created_at if self._work.is_first else clock.now_ms()
        return rebuild_job(
            self._owner,
            request,
            self._plan.defaults[request.type],
            created_at=now if created_at is None else created_at,
            job_id=_choose_id(self._work.keyed, place),
        )

    def _send(self, jobs: Sequence[Job]) -> set[str]:
        """Send the jobs that no worker has claimed; returns the ids of ordered ones that SQS did not take."""
        unclaimed = [job for job in jobs if is_as_created(job)]
        unsent = queue.send_when_due(unclaimed)
        out_of_turn = [job for job in unclaimed if job.id in unsent and job.order_key is not None]
        for job in out_of_turn:
            self._delete_unsent(job)
            stop(str(job.order_key), UnavailableError(NOT_IN_TURN), self._stopped)
        return {job.id for job in out_of_turn}

    def _delete_unsent(self, job: Job) -> None:
        try:
            # A repeat that has taken over may have sent it: then it stays.
            transact_with_retries([JobModel.remove_part(job.id, is_never_claimed()), self._work.hold_part()])
        except (TransactionCancelledError, UnavailableError, OutcomeUnknownError) as failure:
            facts = {"action": "create_jobs", "job_id": job.id, "error": str(failure)}
            log.warning("unsent ordered job not deleted", extra=facts)
        else:
            tags.delete_rows([job])

    def _restore_outcome(self, place: int) -> Outcome:
        if place in self._plan.refusals:
            return _restore_refusal(*self._plan.refusals[place])
        if place in self._failures:
            return self._failures[place]
        return self._build(place, self._progress.created_at.get(place, self._plan.created_at))


def _restore_refusal(code: str, detail: str, field: str | None) -> LeasewayError:
    refusal = InvalidInputError(detail, field=field)
    vars(refusal)["code"] = code  # whatever type it had: its answer shows no more than these
    return refusal


def _read_progress(work: KeyedWork) -> _Progress:
    return _Progress() if work.progress is None else msgspec.json.decode(work.progress, type=_Progress)


def _insert(jobs: Sequence[Job], digest: str, stopped: Stopped) -> dict[str, Outcome]:
    """Put jobs and the rows of their tags unless they exist; returns, by id, the job that is there or why none is."""
    untagged = tags.insert_rows(jobs)
    outcomes: dict[str, Outcome] = {job_id: UnavailableError(_NOT_TAGGED) for job_id in untagged}
    by_id = {job.id: job for job in jobs if job.id not in untagged}
    rows = dict(zip(by_id, Pool(_THREADS).map(partial(_build_row, digest=digest), by_id.values()), strict=True))
    outcomes |= {job_id: row for job_id, row in rows.items() if isinstance(row, LeasewayError)}
    ready = [row for row in rows.values() if isinstance(row, JobModel)]
    plain = [row for row in ready if row.order_key is None]
    inserted = dict(zip([row.id for row in plain], Pool(_THREADS).map(_insert_row, plain), strict=True))
    for job in jobs:
        if job.order_key is not None and isinstance(failure := outcomes.get(job.id), LeasewayError):
            stop(job.order_key, failure, stopped)
    inserted |= insert_in_order(ready, stopped)
    return outcomes | {job_id: _judge(by_id[job_id], each, digest) for job_id, each in inserted.items()}


def _build_row(job: Job, *, digest: str) -> JobModel | LeasewayError:
    try:
        payload = content.store(job.payload, job.owner, job.id, f"payload-{digest}")
    except LeasewayError as failure:
        return failure
    return model_from_job(job, payload, digest)


def _insert_row(row: JobModel) -> Item | LeasewayError | None:
    try:
        return insert_row(row)
    except CALL_FAILURES as failure:
        return _explain(failure)


def _judge(job: Job, inserted: Item | LeasewayError | None, digest: str) -> Outcome:
    if inserted is None or isinstance(inserted, LeasewayError):
        return job if inserted is None else inserted
    return _judge_existing(inserted, digest)


def _judge_existing(item: Item, digest: str) -> Outcome:
    """The job in an item, if this request or an earlier one of the same content put it."""
    same = item.get("asked", {}).get("S") == digest
    job = job_from_item(item) if same else None
    return KeyReusedError() if job is None else job


def _explain(failure: Exception) -> LeasewayError:
    fate = classify_failure(failure)
    if fate is FailedWrite.REFUSED:
        raise failure
    return UnavailableError() if fate is FailedWrite.NOT_WRITTEN else RepeatableOutcomeUnknownError()


def _is_row_unused(job: Job, outcome: Outcome) -> bool:
    """Whether the rows of the job's tags stand for no job; after a lost answer they may stand for one."""
    if isinstance(outcome, Job):
        return outcome.created_at != job.created_at
    return not isinstance(outcome, OutcomeUnknownError)
