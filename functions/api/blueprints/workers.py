"""Jobs for workers outside Lambda: claim one, keep it with heartbeats, end it."""

from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.fields import PLAIN_TEXT, plain_text
from api.ids import parse_job_id
from api.job_views import ClaimView, EndView, HeartbeatView, claim_view
from api.routes import Call, Operation, operation
from api.views import rfc3339
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs import JobNotFoundError, JobStatus, UnknownJobTypeError
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.progress import LONGEST_NOTE, Progress
from leaseway.jobs.run import external
from leaseway.jobs.run.external import (
    LONGEST_WAIT_SECONDS,
    MOST_TYPES,
    ClaimEndedError,
    NotClaimableError,
)
from leaseway.jobs.run.finish import LONGEST_ERROR
from leaseway.jobs.types import LONGEST_LEASE_SECONDS, SHORTEST_LEASE_SECONDS

workers = Blueprint(__name__)

_TAG = "Workers outside Lambda"
_TOKEN = "9f0c1b7d52ae4310"  # noqa: S105 - an example

Worker = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="The worker's name, without control characters; the job shows it",
        examples=["build-7"],
        extra_json_schema=PLAIN_TEXT,
    ),
]
ClaimToken = Annotated[
    str, Meta(min_length=1, max_length=64, description="The token from the answer to the claim, which proves the lease")
]


LeaseSeconds = Annotated[
    int,
    Meta(
        ge=SHORTEST_LEASE_SECONDS,
        le=LONGEST_LEASE_SECONDS,
        description="How long the job is yours without a heartbeat; by default the lease of its type, or else the "
        "deployment's `LeaseSeconds` (30)",
        examples=[600],
    ),
]


class Claim(msgspec.Struct, forbid_unknown_fields=True):
    """The claim of a worker for a job of one of these types."""

    types: Annotated[
        list[Annotated[str, Meta(max_length=64, extra_json_schema={"format": "external-job-type"})]],
        Meta(min_length=1, max_length=MOST_TYPES, description="External job types", examples=[["EXTERNAL"]]),
    ]
    worker: Worker
    wait_seconds: Annotated[
        int,
        Meta(ge=0, le=LONGEST_WAIT_SECONDS, description="How long to wait for a job; with 0, one may be overlooked"),
    ] = 0
    lease_seconds: LeaseSeconds | None = None


class KnownClaim(msgspec.Struct, forbid_unknown_fields=True):
    """The claim of a worker for a particular job."""

    worker: Worker
    lease_seconds: LeaseSeconds | None = None


class Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    """A heartbeat, and optionally the progress of the work."""

    claim_token: ClaimToken
    progress: Annotated[float, Meta(ge=0, le=1, description="The completed part of the work, from 0 to 1")] | None = (
        None
    )
    progress_note: (
        Annotated[
            str,
            Meta(
                max_length=LONGEST_NOTE,
                description="A note on the progress, without control characters; needs `progress`",
                extra_json_schema=PLAIN_TEXT,
            ),
        ]
        | None
    ) = None


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    """The result of the job."""

    claim_token: ClaimToken
    result: Annotated[dict[str, Any], Meta(description="Any JSON object")]


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    """The reason why the attempt failed."""

    claim_token: ClaimToken
    error: Annotated[str, Meta(min_length=1, max_length=LONGEST_ERROR)]


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/claim",
        tag=_TAG,
        summary="Claim the next job",
        body=Claim,
        answer=ClaimView,
        nothing="No job came in time; ask again",
        keyed=True,
        errors=(UnknownJobTypeError, ClaimEndedError, UnavailableError),
        example={"types": ["EXTERNAL"], "worker": "build-7", "wait_seconds": 10},
    ),
)
def claim_next_job(call: Call[Claim, None]) -> ClaimView | None:
    """The job is RUNNING and yours until `lease_until`; each heartbeat extends that. A worker that sends none counts
    as dead, and another one gets the job. The first heartbeat confirms the claim; without any, the attempt does not
    count. With an `Idempotency-Key`, a repeat after a lost answer returns the same job and token while the claim holds
    the job, and then 409 `CLAIM_ENDED`. A waiting request occupies one of the account's concurrent executions, which
    costs $23 per worker and month: workers that are mostly idle should run as nodes, or pause between requests.
    """
    body = call.body
    lease = external.claim_next(
        body.types, _name(body.worker), body.wait_seconds, lease_seconds=body.lease_seconds, key=call.key
    )
    return None if lease is None else claim_view(lease)


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/claim",
        tag=_TAG,
        summary="Claim a particular job",
        body=KnownClaim,
        answer=ClaimView,
        keyed=True,
        errors=(JobNotFoundError, NotClaimableError, ClaimEndedError, UnavailableError),
        example={"worker": "build-7"},
    ),
)
def claim_this_job(call: Call[KnownClaim, None]) -> ClaimView:
    """Claims this job of an external type. Users can claim their own jobs, Workers those of any user."""
    body = call.body
    lease = external.claim_known(
        parse_job_id(call.path["id"]),
        _name(body.worker),
        owner=call.caller.works_for,
        lease_seconds=body.lease_seconds,
        key=call.key,
    )
    return claim_view(lease)


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/heartbeat",
        tag=_TAG,
        summary="Extend the lease of a claimed job",
        body=Heartbeat,
        answer=HeartbeatView,
        errors=(JobNotFoundError, LeaseLostError, UnavailableError),
        example={"claim_token": _TOKEN, "progress": 0.4, "progress_note": "page 5 of 12"},
    ),
)
def beat(call: Call[Heartbeat, None]) -> HeartbeatView:
    """Extends the lease by its length. Send the first heartbeat as soon as you have the job. If `cancelled` is true,
    stop the work: no result will be accepted. 409 `LEASE_LOST` means that another worker may already have the job.
    """
    job_id = parse_job_id(call.path["id"])
    result = external.heartbeat(job_id, call.body.claim_token, _read_progress(call.body), owner=call.caller.works_for)
    return HeartbeatView(
        status=result.status,
        cancelled=result.status is JobStatus.CANCELLED,
        lease_until=None if result.lease_until is None else rfc3339(result.lease_until),
        deadline=None if result.deadline is None else rfc3339(result.deadline),
    )


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/complete",
        tag=_TAG,
        summary="Complete a claimed job",
        body=Completion,
        answer=EndView,
        errors=(JobNotFoundError, LeaseLostError, UnavailableError),
        example={"claim_token": _TOKEN, "result": {"pages": 12}},
    ),
)
def complete(call: Call[Completion, None]) -> EndView:
    """Stores the result. It is refused after the deadline, or if another worker has taken the job over.
    Repeating the same request returns the same answer.
    """
    name = parse_job_id(call.path["id"])
    external.complete(name, call.body.claim_token, call.body.result, owner=call.caller.works_for)
    return EndView(name, JobStatus.COMPLETED)


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/fail",
        tag=_TAG,
        summary="Fail an attempt at a claimed job",
        body=Failure,
        answer=EndView,
        errors=(JobNotFoundError, LeaseLostError, UnavailableError),
        example={"claim_token": _TOKEN, "error": "the scanner is out of paper"},
    ),
)
def fail(call: Call[Failure, None]) -> EndView:
    """If attempts are left, the job becomes CREATED and waits for the next one; otherwise it is FAILED."""
    name = parse_job_id(call.path["id"])
    return EndView(name, external.fail(name, call.body.claim_token, call.body.error, owner=call.caller.works_for))


def _read_progress(body: Heartbeat) -> Progress | None:
    if body.progress is not None:
        return Progress.from_fraction(body.progress, plain_text(body.progress_note, "progress_note"))
    if body.progress_note is not None:
        raise InvalidInputError("is needed with a progress_note", field="progress")
    return None


def _name(worker: str) -> str:
    return plain_text(worker, "worker") or ""
