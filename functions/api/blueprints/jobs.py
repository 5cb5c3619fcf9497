"""Jobs: create one, watch it, get its result."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.fields import moment
from api.ids import parse_job_id
from api.job_requests import JobFilter, NewJob, NewJobs, read_options
from api.job_views import JobOutcome, JobPageView, JobView, etag, job_view, outcome_view, page_view
from api.problems import Refusal, brief
from api.routes import Answer, Call, Operation, operation
from leaseway import validation
from leaseway.canonical import with_whole_numbers
from leaseway.cursors import InvalidCursorError
from leaseway.errors import (
    InvalidInputError,
    LeasewayError,
    NotYoursError,
    RepeatableOutcomeUnknownError,
    UnavailableError,
)
from leaseway.idempotency import KeyedRequest
from leaseway.jobs import (
    Job,
    JobNotFoundError,
    NotFinishedError,
    TtlTooLongError,
    UnknownJobTypeError,
    create_job,
    get_job,
    get_result,
    parse_status,
)
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.keyed_batch import create_jobs_once
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.find.ended import NoEndedIndexError, page_of_ended_jobs
from leaseway.jobs.find.lists import UseCursorError, page_of_jobs
from leaseway.jobs.order_limit import OrderKeyFullError
from leaseway.jobs.types import job_type
from leaseway.objects import ObjectNotFoundError

jobs = Blueprint(__name__)

_TAG = "Jobs"


@operation(
    jobs,
    Operation(
        method="POST",
        path="/api/v1/jobs",
        tag=_TAG,
        summary="Create a job",
        status=202,
        location=True,
        body=NewJob,
        answer=JobView,
        keyed=True,
        errors=(
            UnknownJobTypeError,
            TtlTooLongError,
            OrderKeyFullError,
            UnavailableError,
            RepeatableOutcomeUnknownError,
        ),
    ),
)
def submit_job(call: Call[NewJob, None]) -> Answer:
    """The job is stored as CREATED and queued. The payload is checked against its type's schema first."""
    new_job = call.body
    job = create_job(call.caller.subject, new_job.type, new_job.payload, read_options(new_job), key=call.key)
    return Answer(job_view(job), {"location": f"jobs/{job.id}", **etag(job)})


class BatchItem(msgspec.Struct):
    """The outcome of one job of a batch: the job, or the reason why it was refused."""

    index: Annotated[int, Meta(description="Its position in the request, from 0")]
    job: JobView | None
    problem: Refusal | None


class BatchView(msgspec.Struct):
    """The outcome of a batch, job by job, in the order of the request."""

    content: list[BatchItem]
    accepted: int
    refused: int


@operation(
    jobs,
    Operation(
        method="POST",
        path="/api/v1/jobs/batch",
        tag=_TAG,
        summary="Create up to 100 jobs",
        status=202,
        body=NewJobs,
        answer=BatchView,
        keyed=True,
        errors=(UnavailableError, RepeatableOutcomeUnknownError),
        example={
            "jobs": [{"type": "SLEEP", "payload": {"duration_ms": 500}}, {"type": "GENERATE_NUMBER", "payload": {}}]
        },
    ),
)
def submit_batch(call: Call[NewJobs, None]) -> BatchView:
    """Each job is checked separately, so a refused one does not affect the others. `content` has the request's order.

    With an Idempotency-Key, a repeat creates the jobs that the first request could not, such as one whose `problem` is
    `UNAVAILABLE`, and gives the same answer for the others. Without a key, a batch may have been created although
    its answer was lost.
    """
    requests, owner = [_parse_request(described) for described in call.body.jobs], call.caller.subject
    if call.key is None:
        return _batch_view(create_jobs(owner, requests))
    return _batch_view(create_jobs_once(owner, requests, KeyedRequest.of(call.key, call.body.jobs)))


def _batch_view(outcomes: Sequence[Job | LeasewayError]) -> BatchView:
    content = [
        BatchItem(index, job_view(outcome), None)
        if isinstance(outcome, Job)
        else BatchItem(index, None, brief(outcome))
        for index, outcome in enumerate(outcomes)
    ]
    accepted = sum(item.job is not None for item in content)
    return BatchView(content, accepted, len(content) - accepted)


def _parse_request(described: dict[str, Any]) -> JobRequest | InvalidInputError:
    # The payload stays as it was sent: 1e300 as an integer would be 300 bytes.
    members = {name: member if name == "payload" else with_whole_numbers(member) for name, member in described.items()}
    try:
        new_job = msgspec.convert(members, NewJob)
    except msgspec.ValidationError as problem:
        return validation.refusal(problem)
    return JobRequest(new_job.type, new_job.payload, read_options(new_job))


@operation(
    jobs,
    Operation(
        method="GET",
        path="/api/v1/jobs",
        tag=_TAG,
        summary="List jobs",
        query=JobFilter,
        answer=JobPageView,
        errors=(
            UnknownJobTypeError,
            UseCursorError,
            InvalidCursorError,
            NoEndedIndexError,
            NotYoursError,
            UnavailableError,
        ),
    ),
)
def list_jobs(call: Call[None, JobFilter]) -> JobPageView:
    """Newest first. The CREATED and RUNNING jobs of all owners are in the order in which the sweeper checks them.

    With `ended_after`, the oldest end comes first, up to a minute ago. `cursor` is never null: send it later, with
    the same query, to get the jobs that have ended since. Each end is listed once. Requires the parameter `EndedIndex`.

    A page that is short or empty because of a filter has a `cursor` if there is more to read. Totals come from
    the table's stream and are some seconds late.
    """
    query = call.query
    owner = call.caller.choose_listed_owner(query.owner)
    status = parse_status(query.status) if query.status is not None else None
    type_name = None if query.type is None else job_type(query.type).name
    if query.ended_after is None:
        page = page_of_jobs(
            owner=owner,
            status=status,
            type_name=type_name,
            tag=query.tag,
            page=query.page,
            size=query.size,
            cursor=query.cursor,
        )
    elif query.page is None:
        page = page_of_ended_jobs(
            owner=owner,
            ended_after=moment(query.ended_after, "ended_after"),
            status=status,
            type_name=type_name,
            tag=query.tag,
            size=query.size,
            cursor=query.cursor,
        )
    else:
        raise InvalidInputError("a list by the time of end has a cursor and no pages", field="page")
    return page_view(page)


@operation(
    jobs,
    Operation(
        method="GET",
        path="/api/v1/jobs/{id}",
        tag=_TAG,
        summary="Read a job",
        answer=JobView,
        errors=(JobNotFoundError, UnavailableError),
    ),
)
def show_job(call: Call[None, None]) -> Answer:
    """The job in its current state. You can poll it, or its result. Its ETag changes with its status."""
    job = get_job(parse_job_id(call.path["id"]), owner=call.caller.sees_owner)
    return Answer(job_view(job), etag(job))


@operation(
    jobs,
    Operation(
        method="GET",
        path="/api/v1/jobs/{id}/result",
        tag=_TAG,
        summary="Read the result of a job",
        answer=JobOutcome,
        errors=(JobNotFoundError, NotFinishedError, ObjectNotFoundError, UnavailableError),
    ),
)
def show_result(call: Call[None, None]) -> JobOutcome:
    """200 for every job that has ended: COMPLETED with its `result`, FAILED or CANCELLED with its `error_message`.

    Before the end, 409 `NOT_FINISHED`. `status` distinguishes success from failure.
    """
    job, result = get_result(parse_job_id(call.path["id"]), owner=call.caller.sees_owner)
    return outcome_view(job, result)
