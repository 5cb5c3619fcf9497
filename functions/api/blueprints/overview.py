"""What is there at a glance: counts of jobs, the types that can be run, and the object that a result names."""

from typing import Annotated, Any

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.fields import Owner
from api.ids import parse_job_id
from api.job_requests import NewJob
from api.routes import Call, Operation, operation
from api.views import Time, rfc3339
from leaseway import clock
from leaseway.errors import NotYoursError, UnavailableError
from leaseway.jobs import JobNotFoundError, JobType, NotFinishedError, catalogue, link_to_result
from leaseway.jobs.find.totals import count_by_type
from leaseway.jobs.job import JobStatus
from leaseway.objects import ObjectNotFoundError

overview = Blueprint(__name__)

_TAG = "Overview"
_JsonSchema = Annotated[dict[str, Any], Meta(description="JSON Schema 2020-12")]
_Counts = Annotated[dict[str, int], Meta(description="Jobs by status, every status named")]


class Whose(msgspec.Struct, forbid_unknown_fields=True):
    """Whose jobs are counted."""

    owner: (
        Annotated[
            Owner,
            Meta(
                description="By default your own. For an Admin another's name, or `*` for everybody's",
            ),
        ]
        | None
    ) = None


class TypeCounts(msgspec.Struct):
    """Jobs of one type."""

    type: str
    jobs: _Counts


class OverviewView(msgspec.Struct):
    """How many jobs there are, usually a second behind."""

    at: Time
    owner: Annotated[str | None, Meta(description="null for everybody's")]
    jobs: _Counts
    types: list[TypeCounts]


class TypeView(msgspec.Struct):
    """A type of job that this deployment runs."""

    name: str
    summary: str
    payload: _JsonSchema
    ttl_ms: Annotated[int, Meta(description="Time to live in ms of a job that names none")]
    max_attempts: Annotated[int, Meta(description="Attempts of a job that names no limit")]


class TypesView(msgspec.Struct):
    """Every type by name, and what may be said of any job."""

    content: list[TypeView]
    job: Annotated[dict[str, Any], Meta(description="JSON Schema of a new job, whatever its type")]


class LinkView(msgspec.Struct):
    """A link to an object in the bucket; it needs no token."""

    url: str
    expires_at: Time


@operation(
    overview,
    Operation(
        method="GET",
        path="/api/v1/overview",
        tag=_TAG,
        summary="Count jobs",
        query=Whose,
        answer=OverviewView,
        errors=(NotYoursError, UnavailableError),
    ),
)
def show_overview(call: Call[None, Whose]) -> OverviewView:
    """By status and by type. One read of a few counters, however many jobs there are."""
    owner = call.caller.choose_listed_owner(call.query.owner)
    by_type = count_by_type(owner)
    types = [TypeCounts(name, _every_status(counts)) for name, counts in by_type.items()]
    whole = {status: sum(counted.jobs[status] for counted in types) for status in JobStatus.__members__}
    return OverviewView(rfc3339(clock.now_ms()), owner, whole, types)


def _every_status(counts: dict[str, int]) -> dict[str, int]:
    return {status: counts.get(status, 0) for status in JobStatus.__members__}


@operation(
    overview,
    Operation(method="GET", path="/api/v1/job-types", tag=_TAG, summary="List job types", answer=TypesView),
)
def list_types(call: Call[None, None]) -> TypesView:
    """What this deployment runs, with the schema of each payload: enough to draw a form. Reads nothing."""
    return TypesView([_view_type(kind) for kind in catalogue().values()], _schema(NewJob))


def _view_type(kind: JobType) -> TypeView:
    return TypeView(kind.name, kind.summary, _schema(kind.payload), kind.default_ttl_ms, kind.default_max_attempts)


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema(kind)


@operation(
    overview,
    Operation(
        method="GET",
        path="/api/v1/jobs/{id}/link",
        tag=_TAG,
        summary="Get a link to what a job stored",
        answer=LinkView,
        errors=(JobNotFoundError, NotFinishedError, ObjectNotFoundError, UnavailableError),
    ),
)
def link(call: Call[None, None]) -> LinkView:
    """A fresh link to the object that the job's result names as `key`, such as IMAGE_RESIZE's picture."""
    url, expires_at = link_to_result(parse_job_id(call.path["id"]), owner=call.caller.sees_owner)
    return LinkView(url, rfc3339(expires_at))
