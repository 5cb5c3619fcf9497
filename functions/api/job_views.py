"""Views of jobs, their attempts and the lists of them, in the forms that the API speaks."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.ids import JobId
from api.views import Time, rfc3339, time_or_none
from leaseway.jobs.attempts import list_attempts
from leaseway.jobs.find.lists import JobPage
from leaseway.jobs.job import Attempt, AttemptEnd, Job, JobStatus
from leaseway.jobs.lease import Lease
from leaseway.jobs.progress import WHOLE
from leaseway.jobs.queue import Queue
from leaseway.settings import settings


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

    pageNumber: Annotated[int | None, Meta(description="null where a cursor led here")]
    pageSize: int


class JobPageView(msgspec.Struct):
    """A page of a list of jobs."""

    content: list[JobView]
    pageable: Pageable
    totalElements: Annotated[int | None, _UNCOUNTED]
    totalPages: Annotated[int | None, _UNCOUNTED]
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


def etag(job: Job) -> dict[str, str]:
    """The header that names a job's version; it changes with the status only."""
    return {"etag": f'"{job.version}"'}


def job_view(job: Job) -> JobView:
    """A job for JSON."""
    computed: dict[str, Any] = {
        "tags": list(job.tags),
        "payload": None if job.payload_key and not job.payload else job.payload,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "started_at": time_or_none(job.started_at),
        "finished_at": time_or_none(job.finished_at),
        "expires_at": None if job.expires_at is None else rfc3339(job.expires_at * 1000),
        "run_after": time_or_none(job.run_after),
        "dead_lettered_at": time_or_none(job.dead_lettered_at),
        "deadline": time_or_none(job.deadline),
        "queue": Queue.of(job).name,
        "progress": None if job.progress is None else job.progress / WHOLE,
        "history": [_attempt_view(attempt) for attempt in list_attempts(job)],
    }
    plain = {name: getattr(job, name) for name in JobView.__struct_fields__ if name not in computed}
    return JobView(**plain, **computed)


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
        finished_at=time_or_none(job.finished_at),
    )
