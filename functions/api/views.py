"""Views: what the domain knows, in the names and forms that the API speaks."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from leaseway.accounts import Account, Transfer
from leaseway.health import Part
from leaseway.jobs import attempts
from leaseway.jobs.attempts import Attempt, End
from leaseway.jobs.lists import JobPage
from leaseway.jobs.model import Job, JobStatus
from leaseway.jobs.progress import WHOLE
from leaseway.jobs.queue import Queue
from leaseway.ledger import Entry, Reversal
from leaseway.money import to_decimal
from leaseway.settings import settings

Time = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]
Money = Annotated[Decimal, Meta(description="Exact, with the currency's places")]

Currency = Annotated[str, Meta(description="ISO 4217; one a deployment", examples=["EUR"])]
EntryName = Annotated[
    str, Meta(description="Names a ledger entry; take it as it is, not apart", examples=["alice:7"], max_length=160)
]

JobId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", examples=["0f8b6c1e2d3a4b5c6d7e8f9012345678"])]


class AccountView(msgspec.Struct):
    """A balance at one version."""

    userId: str  # noqa: N815 - the seeds' name
    balance: Money
    currency: Currency
    version: Annotated[int, Meta(description="Counts the changes of this balance, from 1")]
    created_at: Time
    updated_at: Time


class EntryView(msgspec.Struct):
    """One change of one balance. It never changes itself."""

    entry: EntryName
    version: Annotated[int, Meta(description="The version of the account that it made, from 1")]
    amount: Annotated[Money, Meta(description="Negative where it took away")]
    balance_after: Money
    currency: Currency
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["opening", "update", "transfer", "reversal"]})]
    at: Time
    reference: str | None
    actor: Annotated[str | None, Meta(description="Who asked for it")]
    request_id: Annotated[str, Meta(description="The x-request-id of the request that made it")]
    counterparty: Annotated[str | None, Meta(description="The entry on the other side of a transfer")]
    reverses: Annotated[str | None, Meta(description="The entry that this one takes back")]
    reconstructed: Annotated[bool, Meta(description="Rebuilt from the entries around it")]


class LedgerView(msgspec.Struct):
    """A page of a user's ledger, newest first."""

    content: list[EntryView]
    cursor: Annotated[str | None, Meta(description="Leads on to older entries; null at the end")]


class TransferView(msgspec.Struct, rename={"sender": "from", "receiver": "to"}):
    """A transfer that was made, with its two entries; they are in the ledger a moment later."""

    sender: str
    receiver: str
    amount: Money
    currency: Currency
    reference: str | None
    balance: Annotated[Money, Meta(description="What the sender has left")]
    from_entry: EntryName
    to_entry: EntryName
    at: Time


class ReversalView(msgspec.Struct):
    """A reversal that was made; its entries are in the ledger a moment later."""

    reversed: EntryName
    entries: Annotated[
        list[EntryName], Meta(description="The new entries: one, or two where both sides of a transfer were reversed")
    ]
    at: Time


class AttemptView(msgspec.Struct):
    """One attempt at a job."""

    number: int
    worker: str | None
    started_at: Time | None
    ended_at: Time | None
    end: Annotated[
        End,
        Meta(
            description="CRASHED: its worker died; EXPIRED: the time to live passed; RETURNED: its worker was"
            " stopped, and the attempt did not count"
        ),
    ]
    error: Annotated[str | None, Meta(description="Cut to 200 characters")]


class JobView(msgspec.Struct):
    """A job as it stands."""

    id: JobId
    type: str
    status: JobStatus
    owner: str
    tags: list[str]
    payload: Annotated[dict[str, Any] | None, Meta(description="null in a list where it is large: read the job itself")]
    result: Annotated[dict[str, Any] | None, Meta(description="null until COMPLETED, and in a list where it is large")]
    error_message: Annotated[str | None, Meta(description="Why it failed, was cancelled, or is tried again")]
    ttl_ms: Annotated[int, Meta(description="Time to live, from the start of each attempt")]
    attempts: int
    max_attempts: int
    crashes: Annotated[int, Meta(description="How often its worker died")]
    worker: Annotated[str | None, Meta(description="Who ran it last")]
    version: Annotated[int, Meta(description="Changes with the status only")]
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None
    expires_at: Annotated[
        Time | None, Meta(description="Gone after this, with all that it left in the bucket; null before its end")
    ]
    run_after: Annotated[Time | None, Meta(description="Before this the next attempt does not start")]
    dead_lettered_at: Annotated[
        Time | None, Meta(description="When it was FAILED because no claim settled its message; null for others")
    ]
    deadline: Annotated[Time | None, Meta(description="A result of the present attempt counts until then")]
    queue: Annotated[
        str,
        Meta(
            description="Where it waits: `high`, `normal`, `low`, `ordered`, `tasks`, or its type's name",
            examples=["normal"],
        ),
    ]
    order_key: Annotated[str | None, Meta(description="It waits for the end of older jobs with the same one")]
    task_id: Annotated[str | None, Meta(description="The recurring task whose run it is")]
    progress: Annotated[float | None, Meta(description="From 0 to 1, as its executor tells; up to a second behind")]
    progress_note: str | None
    history: Annotated[list[AttemptView], Meta(description="The latest attempts, oldest first; 20 are kept")]


_UNCOUNTED = Meta(description="null in a list by tag, unless this page is all of it")


class Pageable(msgspec.Struct):
    """Which part of a list this is."""

    pageNumber: Annotated[int | None, Meta(description="null where a cursor led here")]  # noqa: N815 - the seeds' name
    pageSize: int  # noqa: N815 - the seeds' name


class JobPageView(msgspec.Struct):
    """A page of a list of jobs."""

    content: list[JobView]
    pageable: Pageable
    totalElements: Annotated[int | None, _UNCOUNTED]  # noqa: N815 - the seeds' name
    totalPages: Annotated[int | None, _UNCOUNTED]  # noqa: N815 - the seeds' name
    cursor: Annotated[str | None, Meta(description="Leads on; null at the end")]


class JobOutcome(msgspec.Struct):
    """How a job ended: its result, or why there is none."""

    id: JobId
    status: JobStatus
    result: dict[str, Any] | None
    error_message: Annotated[str | None, Meta(description="Why it is FAILED or CANCELLED")]
    finished_at: Time | None


class ClaimView(msgspec.Struct):
    """A job that is yours to run."""

    job: Annotated[JobView, Meta(description="With its whole payload")]
    claim_token: Annotated[str, Meta(description="Send it with every heartbeat, and with the end")]
    fence: Annotated[int, Meta(description="Higher at each claim of the job: for what must refuse an older worker")]
    lease_until: Annotated[Time, Meta(description="Without a heartbeat before that, you count as dead")]
    heartbeat_seconds: Annotated[int, Meta(description="How often to send one: a third of the lease")]


class HeartbeatView(msgspec.Struct):
    """Whether the work is still wanted."""

    status: JobStatus
    cancelled: Annotated[bool, Meta(description="Stop: somebody cancelled the job, or its time to live has passed")]
    lease_until: Time | None
    deadline: Annotated[Time | None, Meta(description="A result counts until then")]


class EndView(msgspec.Struct):
    """What a job is after its attempt."""

    id: JobId
    status: JobStatus


class Health(msgspec.Struct):
    """The API answers."""

    status: Annotated[str, Meta(examples=["ok"])]
    parts: Annotated[list[Part] | msgspec.UnsetType, Meta(description="What it needs, where that was asked for")] = (
        msgspec.UNSET
    )


def account_view(account: Account) -> AccountView:
    """An account for JSON."""
    return AccountView(
        userId=account.user_id,
        balance=to_decimal(account.balance),
        currency=settings().currency,
        version=account.version,
        created_at=rfc3339(account.created_at),
        updated_at=rfc3339(account.updated_at),
    )


def entry_view(entry: Entry) -> EntryView:
    """A ledger entry for JSON."""
    return EntryView(
        entry=entry.name,
        version=entry.version,
        amount=to_decimal(entry.amount),
        balance_after=to_decimal(entry.balance_after),
        currency=settings().currency,
        kind=entry.kind,
        at=rfc3339(entry.at),
        reference=entry.reference,
        actor=entry.actor,
        request_id=entry.request_id,
        counterparty=entry.counterparty,
        reverses=entry.reverses,
        reconstructed=entry.reconstructed,
    )


def transfer_view(made: Transfer, reference: str | None) -> TransferView:
    """A transfer for its sender: what the receiver has is not told."""
    return TransferView(
        sender=made.sender.user_id,
        receiver=made.receiver.user_id,
        amount=to_decimal(made.amount),
        currency=settings().currency,
        reference=reference,
        balance=to_decimal(made.sender.balance),
        from_entry=made.sender.latest_entry,
        to_entry=made.receiver.latest_entry,
        at=rfc3339(made.sender.updated_at),
    )


def reversal_view(made: Reversal) -> ReversalView:
    """A reversal for JSON."""
    return ReversalView(made.reversed, made.entries, rfc3339(made.accounts[0].updated_at))


def etag(job: Job) -> dict[str, str]:
    """The header that names a job's version; it changes with the status only."""
    return {"etag": f'"{job.version}"'}


def job_view(job: Job) -> JobView:
    """A job for JSON."""
    return JobView(
        id=job.id,
        type=job.type,
        status=job.status,
        owner=job.owner,
        tags=list(job.tags),
        payload=None if job.payload_key and not job.payload else job.payload,
        result=job.result,
        error_message=job.error_message,
        ttl_ms=job.ttl_ms,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        crashes=job.crashes,
        worker=job.worker,
        version=job.version,
        created_at=rfc3339(job.created_at),
        updated_at=rfc3339(job.updated_at),
        started_at=_time_or_none(job.started_at),
        finished_at=_time_or_none(job.finished_at),
        expires_at=None if job.expires_at is None else rfc3339(job.expires_at * 1000),
        run_after=_time_or_none(job.run_after),
        dead_lettered_at=_time_or_none(job.dead_lettered_at),
        deadline=_time_or_none(job.deadline),
        queue=Queue.of(job).name,
        order_key=job.order_key,
        task_id=job.task_id,
        progress=None if job.progress is None else job.progress / WHOLE,
        progress_note=job.progress_note,
        history=[_attempt_view(attempt) for attempt in attempts.of(job)],
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        worker=attempt.worker,
        started_at=_time_or_none(attempt.started_at),
        ended_at=_time_or_none(attempt.ended_at),
        end=attempt.end,
        error=attempt.error,
    )


def claim_view(job: Job) -> ClaimView:
    """A job for the worker that claimed it, and for nobody else: the token is in it."""
    assert job.claim_token is not None and job.lease_until is not None  # noqa: S101, PT018 - a claim sets both
    return ClaimView(
        job=job_view(job),
        claim_token=job.claim_token,
        fence=job.fence,
        lease_until=rfc3339(job.lease_until),
        heartbeat_seconds=max(1, settings().lease_seconds // 3),
    )


def page_view(page: JobPage) -> JobPageView:
    """A page of jobs for JSON."""
    return JobPageView(
        content=[job_view(job) for job in page.content],
        pageable=Pageable(page.page, page.size),
        totalElements=page.total_elements,
        totalPages=page.total_pages,
        cursor=page.cursor,
    )


def outcome_view(job: Job, result: dict[str, Any] | None) -> JobOutcome:
    """The end of a finished job for JSON."""
    return JobOutcome(
        id=job.id,
        status=job.status,
        result=result,
        error_message=job.error_message,
        finished_at=_time_or_none(job.finished_at),
    )


def rfc3339(milliseconds: int) -> str:
    """A time in milliseconds since the epoch as RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_or_none(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
