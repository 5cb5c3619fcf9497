"""Views of jobs, their attempts and lists of them in the API's JSON."""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from api.ids import JobId
from api.views import Time, rfc3339, time_or_none
from leaseway.jobs.attempts import list_attempts
from leaseway.jobs.fields import Field, Unit, list_fields
from leaseway.jobs.find.lists import JobPage
from leaseway.jobs.job import Attempt, AttemptEnd, Job, JobStatus
from leaseway.jobs.lease import Lease
from leaseway.jobs.progress import WHOLE
from leaseway.jobs.queue_names import Queue


class AttemptView(msgspec.Struct):
    """One attempt at a job."""

    number: int
    worker: str | None
    started_at: Time | None
    ended_at: Time | None
    end: Annotated[
        AttemptEnd,
        Meta(
            description="CRASHED: its worker died; EXPIRED: the time to live passed; RETURNED: its worker was"
            " stopped, and the attempt did not count"
        ),
    ]
    error: Annotated[str | None, Meta(description="Cut to 200 characters")]


class _Form(NamedTuple):
    """The type of a value in JSON, and the way to it."""

    type: Any
    convert: Callable[[Any], Any] = lambda value: value


_UNIT_FORMS: dict[Unit | None, _Form] = {
    Unit.MILLISECONDS: _Form(Time, rfc3339),
    Unit.SECONDS: _Form(Time, lambda seconds: rfc3339(seconds * 1000)),
    Unit.THOUSANDTHS: _Form(float, lambda thousandths: thousandths / WHOLE),
}
_TYPE_FORMS = {tuple[str, ...]: _Form(list[str], list)}

# These are read from the job as a whole.
_COMPUTED = {
    "id": _Form(JobId, lambda job: job.id),
    "payload": _Form(dict[str, Any] | None, lambda job: None if job.payload_key and not job.payload else job.payload),
    "queue": _Form(str, lambda job: Queue.of(job).name),
    "history": _Form(list[AttemptView], lambda job: [_attempt_view(attempt) for attempt in list_attempts(job)]),
}


def derive_view(record: type[Job]) -> dict[str, _Form]:
    """Derive the form in JSON of each public field of a job: its type, and its value from the job."""
    return {field.name: _derive_form(field) for field in list_fields(record) if field.is_public}


def _derive_form(field: Field) -> _Form:
    form = _COMPUTED.get(field.name) or _plain_form(field)
    return form if field.meta is None else form._replace(type=Annotated[form.type, field.meta])


def _plain_form(field: Field) -> _Form:
    type_, convert = _UNIT_FORMS.get(field.unit) or _TYPE_FORMS.get(field.type) or _Form(field.type)
    read = attrgetter(field.name)
    if field.is_optional:
        return _Form(type_ | None, lambda job: None if (value := read(job)) is None else convert(value))
    return _Form(type_, lambda job: convert(read(job)))


_VIEW = derive_view(Job)


class JobView(msgspec.Struct):
    """A job in its current state."""

    __annotations__ = {name: form.type for name, form in _VIEW.items()}

    if TYPE_CHECKING:

        def __init__(self, **members: object) -> None:
            """Make a view of the members that `Job` declares as public."""


_UNCOUNTED = Meta(description="null in a list by tag, unless this page contains all of it")


class Pageable(msgspec.Struct):
    """The part of a list that this page contains."""

    pageNumber: Annotated[int | None, Meta(description="null if the page was requested with a cursor")]
    pageSize: int


class JobPageView(msgspec.Struct):
    """A page of a list of jobs."""

    content: list[JobView]
    pageable: Pageable
    totalElements: Annotated[int | None, _UNCOUNTED]
    totalPages: Annotated[int | None, _UNCOUNTED]
    cursor: Annotated[str | None, Meta(description="The cursor of the next page; null at the end")]


class JobOutcome(msgspec.Struct):
    """How a job ended: its result, or why there is none."""

    id: JobId
    status: JobStatus
    result: dict[str, Any] | None
    error_message: Annotated[str | None, Meta(description="Why it is FAILED or CANCELLED")]
    finished_at: Time | None


class ClaimView(msgspec.Struct):
    """A claimed job."""

    job: Annotated[JobView, Meta(description="The job with its complete payload")]
    claim_token: Annotated[str, Meta(description="Send it with every heartbeat, and when the job ends")]
    fence: Annotated[
        int, Meta(description="Increases with each claim; for systems that must refuse the older of two workers")
    ]
    lease_until: Annotated[Time, Meta(description="Without a heartbeat before this time, the worker counts as dead")]
    heartbeat_seconds: Annotated[int, Meta(description="How often to send one: a third of the lease")]


class HeartbeatView(msgspec.Struct):
    """The state of the job after a heartbeat."""

    status: JobStatus
    cancelled: Annotated[bool, Meta(description="Stop: the job was cancelled, or its time to live has passed")]
    lease_until: Time | None
    deadline: Annotated[Time | None, Meta(description="A result is accepted until then")]


class EndView(msgspec.Struct):
    """The state of a job after an attempt has ended."""

    id: JobId
    status: JobStatus


def etag(job: Job) -> dict[str, str]:
    """The header that names a job's version; it changes with the status only."""
    return {"etag": f'"{job.version}"'}


def job_view(job: Job) -> JobView:
    """A job for JSON."""
    return JobView(**{name: form.convert(job) for name, form in _VIEW.items()})


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        worker=attempt.worker,
        started_at=time_or_none(attempt.started_at),
        ended_at=time_or_none(attempt.ended_at),
        end=attempt.end,
        error=attempt.error,
    )


def claim_view(lease: Lease) -> ClaimView:
    """A job for the one worker that claimed it: the claim token is in it."""
    return ClaimView(
        job=job_view(lease.job),
        claim_token=lease.token,
        fence=lease.fence,
        lease_until=rfc3339(lease.until),
        heartbeat_seconds=max(1, lease.length_ms // 3_000),
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
        finished_at=time_or_none(job.finished_at),
    )
