"""Jobs for workers outside Lambda: claim one, keep it by heartbeats, end it."""

from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.ids import parse_job_id
from api.job_views import ClaimView, EndView, HeartbeatView, claim_view
from api.requests import PLAIN_TEXT, plain_text
from api.routes import Call, Operation, operation
from api.views import rfc3339
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs import JobNotFoundError, JobStatus, UnknownJobTypeError
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.progress import LONGEST_NOTE, Progress
from leaseway.jobs.run import external
from leaseway.jobs.run.external import LONGEST_WAIT_SECONDS, MOST_TYPES, NotClaimableError
from leaseway.jobs.run.finish import LONGEST_ERROR

workers = Blueprint(__name__)

_TAG = "Workers outside Lambda"
_TOKEN = "9f0c1b7d52ae4310"  # noqa: S105 - an example

Worker = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="Your own name, without control characters; the job shows it",
        examples=["build-7"],
        extra_json_schema=PLAIN_TEXT,
    ),
]
ClaimToken = Annotated[
    str, Meta(min_length=1, max_length=64, description="From the answer to the claim; proves the lease")
]


class Claim(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants a job, and of what types."""

    types: Annotated[
        list[Annotated[str, Meta(max_length=64, extra_json_schema={"format": "external-job-type"})]],
        Meta(min_length=1, max_length=MOST_TYPES, description="External job types", examples=[["EXTERNAL"]]),
    ]
    worker: Worker
    wait_seconds: Annotated[
        int, Meta(ge=0, le=LONGEST_WAIT_SECONDS, description="How long to wait for one; without, one may be overlooked")
    ] = 0


class KnownClaim(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants the job."""

    worker: Worker


class Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    """A sign of life, and how far the work has come."""

    claim_token: ClaimToken
    progress: Annotated[float, Meta(ge=0, le=1, description="The part of the work that is done")] | None = None
    progress_note: (
        Annotated[
            str,
            Meta(
                max_length=LONGEST_NOTE,
                description="A note on it, without control characters; needs `progress`",
                extra_json_schema=PLAIN_TEXT,
            ),
        ]
        | None
    ) = None


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    """What came of the job."""

    claim_token: ClaimToken
    result: Annotated[dict[str, Any], Meta(description="Any JSON object")]


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    """Why nothing came of the attempt."""

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
        errors=(UnknownJobTypeError, UnavailableError),
        example={"types": ["EXTERNAL"], "worker": "build-7", "wait_seconds": 10},
    ),
)
def claim_next_job(call: Call[Claim, None]) -> ClaimView | None:
    """The job is RUNNING and yours until `lease_until`; each heartbeat extends that. A worker that stays silent counts
    as dead, and its job is given to another. Ask with `wait_seconds` in a loop: the request waits, and costs little.
    """
    wanted = call.body
    lease = external.claim_next(wanted.types, _name(wanted.worker), wanted.wait_seconds)
    return None if lease is None else claim_view(lease)


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/claim",
        tag=_TAG,
        summary="Claim one known job",
        body=KnownClaim,
        answer=ClaimView,
        errors=(JobNotFoundError, NotClaimableError, UnavailableError),
        example={"worker": "build-7"},
    ),
)
def claim_this_job(call: Call[KnownClaim, None]) -> ClaimView:
    """The permission to run this very job of an external type: a User for an own one, a Worker for anybody's."""
    lease = external.claim_known(parse_job_id(call.path["id"]), _name(call.body.worker), owner=call.caller.works_for)
    return claim_view(lease)


@operation(
    workers,
    Operation(
        method="POST",
        path="/api/v1/jobs/{id}/heartbeat",
        tag=_TAG,
        summary="Keep a claimed job",
        body=Heartbeat,
        answer=HeartbeatView,
        errors=(JobNotFoundError, LeaseLostError, UnavailableError),
        example={"claim_token": _TOKEN, "progress": 0.4, "progress_note": "page 5 of 12"},
    ),
)
def beat(call: Call[Heartbeat, None]) -> HeartbeatView:
    """Extends the lease. Where the answer is `cancelled`, stop the work: its result is not wanted any more. 409
    `LEASE_LOST` says that another worker may have the job by now.
    """
    name = parse_job_id(call.path["id"])
    found = external.heartbeat(name, call.body.claim_token, _reached(call.body), owner=call.caller.works_for)
    return HeartbeatView(
        status=found.status,
        cancelled=found.status is JobStatus.CANCELLED,
        lease_until=None if found.lease_until is None else rfc3339(found.lease_until),
        deadline=None if found.deadline is None else rfc3339(found.deadline),
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
    """Stores the result. One that comes after the deadline, or from a worker whose job another took over, is refused.
    The same request again gets the same answer.
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
        summary="Give up an attempt at a claimed job",
        body=Failure,
        answer=EndView,
        errors=(JobNotFoundError, LeaseLostError, UnavailableError),
        example={"claim_token": _TOKEN, "error": "the scanner is out of paper"},
    ),
)
def fail(call: Call[Failure, None]) -> EndView:
    """While attempts are left, the job is CREATED again and waits for its next one; else it is FAILED."""
    name = parse_job_id(call.path["id"])
    return EndView(name, external.fail(name, call.body.claim_token, call.body.error, owner=call.caller.works_for))


def _reached(told: Heartbeat) -> Progress | None:
    if told.progress is not None:
        return Progress.from_fraction(told.progress, plain_text(told.progress_note, "progress_note"))
    if told.progress_note is not None:
        raise InvalidInputError("is needed with a progress_note", field="progress")
    return None


def _name(worker: str) -> str:
    return plain_text(worker, "worker") or ""
