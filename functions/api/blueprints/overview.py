"""Counts of jobs, the available job types, and links to the objects of results."""

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
_Counts = Annotated[dict[str, int], Meta(description="Jobs by status, including those without jobs")]


class Whose(msgspec.Struct, forbid_unknown_fields=True):
    """The owner whose jobs are counted."""

    owner: (
        Annotated[
            Owner,
            Meta(
                description="By default you. For Admins: another user's name, or `*` for all users",
            ),
        ]
        | None
    ) = None


class TypeCounts(msgspec.Struct):
    """Jobs of one type."""

    type: str
    jobs: _Counts


class OverviewView(msgspec.Struct):
    """Counts of jobs, usually a second late."""

    at: Time
    owner: Annotated[str | None, Meta(description="null for all users")]
    jobs: _Counts
    types: list[TypeCounts]


class TypeView(msgspec.Struct):
    """A job type of this deployment."""

    name: str
    summary: str
    payload: _JsonSchema
    ttl_ms: Annotated[int, Meta(description="Default time to live, in ms")]
    max_attempts: Annotated[int, Meta(description="Default number of attempts")]


class TypesView(msgspec.Struct):
    """Every job type by name, and the schema of a new job."""

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
    """Counts by status and by type. One read of a few counters, however many jobs there are."""
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
    """The job types of this deployment, with the schema of each payload, from which a form can be made."""
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
        summary="Get a link to an object of a job",
        answer=LinkView,
        errors=(JobNotFoundError, NotFinishedError, ObjectNotFoundError, UnavailableError),
    ),
)
def link(call: Call[None, None]) -> LinkView:
    """A new link to the object that is the `key` in the job's result, such as the picture of IMAGE_RESIZE."""
    url, expires_at = link_to_result(parse_job_id(call.path["id"]), owner=call.caller.sees_owner)
    return LinkView(url, rfc3339(expires_at))
