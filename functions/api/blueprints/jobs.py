"""Jobs: create one, watch it, get its result."""

from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.requests import job_id
from api.routes import Answer, Call, Operation, operation
from api.views import JobOutcome, JobView, job_view, outcome_view
from leaseway.errors import UnavailableError
from leaseway.jobs import (
    JobNotFoundError,
    NotFinishedError,
    TtlTooLongError,
    UnknownJobTypeError,
    create_job,
    get_job,
    get_result,
)

jobs = Blueprint(__name__)

_TAG = "Jobs"


class NewJob(msgspec.Struct, forbid_unknown_fields=True):
    """A job to run: its type and what that type needs to know."""

    type: Annotated[str, Meta(max_length=64)]
    payload: dict[str, Any]
    ttl_ms: Annotated[
        int | None,
        Meta(description="Time to live in ms, from the start of each attempt; by default 60000, at most 840000"),
    ] = None
    max_attempts: Annotated[int | None, Meta(description="Attempts before it is FAILED: 1 to 20, by default 3")] = None


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
        errors=(UnknownJobTypeError, TtlTooLongError, UnavailableError),
    ),
)
def submit_job(call: Call[NewJob, None]) -> Answer:
    """The job is stored as CREATED and queued. The payload is checked against its type's schema first."""
    wanted = call.body
    job = create_job(
        call.caller.subject, wanted.type, wanted.payload, ttl_ms=wanted.ttl_ms, max_attempts=wanted.max_attempts
    )
    return Answer(job_view(job), {"location": f"jobs/{job.id}"})


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
def show_job(call: Call[None, None]) -> JobView:
    """The job as it stands; poll it, or poll its result."""
    return job_view(get_job(job_id(call.path["id"]), owner=call.caller.sees_owner))


@operation(
    jobs,
    Operation(
        method="GET",
        path="/api/v1/jobs/{id}/result",
        tag=_TAG,
        summary="Read how a job ended",
        answer=JobOutcome,
        errors=(JobNotFoundError, NotFinishedError, UnavailableError),
    ),
)
def show_result(call: Call[None, None]) -> JobOutcome:
    """200 for every job that has ended: COMPLETED with its `result`, FAILED and CANCELLED with their `error_message`.

    409 `NOT_FINISHED` before the end. `status` tells success from failure: the question was answered in all three.
    """
    job, result = get_result(job_id(call.path["id"]), owner=call.caller.sees_owner)
    return outcome_view(job, result)
