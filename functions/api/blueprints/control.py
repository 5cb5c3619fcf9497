"""Control of jobs: cancel, retry and remove one, cancel and retry many."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.bulk_requests import JobsToCancel, JobsToRetry, ManyJobs
from api.callers import Caller
from api.fields import milliseconds
from api.ids import JobId, parse_job_id
from api.job_views import JobView, etag, job_view
from api.problems import Refusal, brief
from api.routes import Answer, Call, Operation, operation
from api.views import Time, rfc3339
from leaseway.cursors import InvalidCursorError
from leaseway.errors import NotYoursError, UnavailableError
from leaseway.jobs import (
    AlreadyEndedError,
    JobNotFoundError,
    JobStatus,
    NotFinishedError,
    NotRetryableError,
    UnknownJobTypeError,
    VersionMovedError,
    cancel_job,
    parse_status,
    retry_job,
)
from leaseway.jobs.control.bulk import Report, cancel_jobs, retry_jobs
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.find.selection import Selection
from leaseway.jobs.types import job_type

control = Blueprint(__name__)

_TAG = "Jobs"


@operation(
    control,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/cancel",
        tag=_TAG,
        summary="Cancel a job",
        answer=JobView,
        conditional=True,
        errors=(JobNotFoundError, AlreadyEndedError, VersionMovedError, UnavailableError),
    ),
)
def cancel(call: Call[None, None]) -> Answer:
    """The job ends at once. If it is running, its executor learns of it at the next heartbeat, and
    its result is refused. A job that is already cancelled is returned unchanged.
    """
    job = cancel_job(
        parse_job_id(call.path["id"]),
        owner=call.caller.sees_owner,
        actor=call.caller.subject,
        if_versions=call.if_versions,
    )
    return Answer(job_view(job), etag(job))


@operation(
    control,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/retry",
        tag=_TAG,
        summary="Retry a job",
        status=202,
        answer=JobView,
        conditional=True,
        errors=(JobNotFoundError, NotRetryableError, VersionMovedError, UnavailableError),
    ),
)
def retry(call: Call[None, None]) -> Answer:
    """A FAILED or CANCELLED job becomes CREATED again. It keeps its id and gets as many attempts as before.

    It starts at once, even if it was created with a delay.
    """
    job = retry_job(parse_job_id(call.path["id"]), owner=call.caller.sees_owner, if_versions=call.if_versions)
    return Answer(job_view(job), etag(job))


@operation(
    control,
    Operation(
        method="DELETE",
        path="/api/v1/jobs/{id}",
        tag=_TAG,
        summary="Remove a job that has ended",
        answer=JobView,
        conditional=True,
        errors=(JobNotFoundError, NotFinishedError, VersionMovedError, UnavailableError),
    ),
)
def remove(call: Call[None, None]) -> JobView:
    """Returns the removed job, without large contents. Jobs are also removed automatically after their retention time.

    A job that has not ended has to be cancelled first.
    """
    return job_view(
        remove_job(parse_job_id(call.path["id"]), owner=call.caller.sees_owner, if_versions=call.if_versions)
    )


class ChangedJob(msgspec.Struct):
    """One job of the selection: its new state, or the reason why it was not changed."""

    id: JobId
    type: str
    status: JobStatus
    created_at: Time
    problem: Refusal | None


class ChangedJobs(msgspec.Struct):
    """The changes to a part of a selection."""

    matched: Annotated[int, Meta(description="Jobs that matched the selection")]
    changed: Annotated[int, Meta(description="Jobs that were changed; 0 in a dry run")]
    refused: Annotated[int, Meta(description="Jobs that changed after they were found")]
    dry_run: bool
    content: list[ChangedJob]
    cursor: Annotated[str | None, Meta(description="Send it with the same selection to continue; null at the end")]


@operation(
    control,
    Operation(
        method="POST",
        path="/api/v1/jobs/cancel",
        tag=_TAG,
        summary="Cancel up to 100 jobs",
        body=JobsToCancel,
        answer=ChangedJobs,
        errors=(UnknownJobTypeError, InvalidCursorError, NotYoursError, UnavailableError),
        example={"tag": "import-7", "dry_run": True},
    ),
)
def cancel_many(call: Call[JobsToCancel, None]) -> ChangedJobs:
    """Cancels the newest waiting and running jobs of a selection, each as if cancelled separately. Repeat it with
    the `cursor` until that is null: a part may match nothing and still have one. A `dry_run` shows what would change.
    """
    body = call.body
    report = cancel_jobs(
        _selection(call.caller, call.body),
        actor=call.caller.subject,
        limit=body.limit,
        cursor=body.cursor,
        dry_run=body.dry_run,
    )
    return _report_view(report)


@operation(
    control,
    Operation(
        method="POST",
        path="/api/v1/jobs/retry",
        tag=_TAG,
        summary="Retry up to 100 jobs",
        body=JobsToRetry,
        answer=ChangedJobs,
        errors=(UnknownJobTypeError, InvalidCursorError, NotYoursError, UnavailableError),
        example={"status": "FAILED", "type": "HTTP_GET", "limit": 50},
    ),
)
def retry_many(call: Call[JobsToRetry, None]) -> ChangedJobs:
    """Retries the oldest FAILED and CANCELLED jobs of a selection, each as if retried separately. Repeat it
    with `cursor` until that is null; a `dry_run` shows what would change. Ten jobs per second start, over all calls;
    jobs with the same `order_key` start in the order of their creation.
    """
    body = call.body
    report = retry_jobs(_selection(call.caller, call.body), limit=body.limit, cursor=body.cursor, dry_run=body.dry_run)
    return _report_view(report)


def _selection(caller: Caller, body: ManyJobs) -> Selection:
    return Selection(
        owner=caller.choose_listed_owner(body.owner),
        statuses=() if body.status is None else (parse_status(body.status),),
        type_name=None if body.type is None else job_type(body.type).name,
        tag=body.tag,
        created_from=milliseconds(body.created_after),
        created_before=milliseconds(body.created_before),
    )


def _report_view(report: Report) -> ChangedJobs:
    return ChangedJobs(
        matched=len(report.outcomes),
        changed=report.changes,
        refused=report.refusals,
        dry_run=report.dry_run,
        content=[
            ChangedJob(
                job.id, job.type, job.status, rfc3339(job.created_at), None if refusal is None else brief(refusal)
            )
            for job, refusal in report.outcomes
        ],
        cursor=report.cursor,
    )
