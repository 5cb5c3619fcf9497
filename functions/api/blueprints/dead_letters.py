"""Dead letters: jobs whose message no claim ever settled. Listed, and tried again one by one or all."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.ids import parse_job_id
from api.job_views import JobPageView, JobView, etag, job_view, page_view
from api.paging import JobWindow
from api.routes import Answer, Call, Operation, operation
from api.views import Time, rfc3339
from leaseway.cursors import InvalidCursorError
from leaseway.errors import UnavailableError
from leaseway.jobs import VersionMovedError
from leaseway.jobs.control.replay import LARGEST_REPLAY, DeadLetterNotFoundError, replay, replay_all
from leaseway.jobs.find.lists import UseCursorError, page_of_dead_letters

dead_letters = Blueprint(__name__)

_TAG = "Dead letters"


@operation(
    dead_letters,
    Operation(
        method="GET",
        path="/api/v1/dead-letters",
        tag=_TAG,
        summary="List dead letters",
        query=JobWindow,
        answer=JobPageView,
        errors=(UseCursorError, InvalidCursorError, UnavailableError),
    ),
)
def list_dead_letters(call: Call[None, JobWindow]) -> JobPageView:
    """Everybody's jobs that were FAILED because their message came again and again and no claim settled it.

    Given up last first. The total is counted from the table's stream, seconds behind.
    """
    query = call.query
    return page_view(page_of_dead_letters(page=query.page, size=query.size, cursor=query.cursor))


class HowMany(msgspec.Struct, forbid_unknown_fields=True):
    """How many to replay."""

    limit: Annotated[int, Meta(ge=1, le=LARGEST_REPLAY, description="Dead letters that this call replays at most")] = (
        LARGEST_REPLAY
    )


class ReplayView(msgspec.Struct):
    """What a replay did."""

    replayed: int
    left: Annotated[int, Meta(description="Dead letters still there, as far as this call counted them: up to 1000")]
    last_starts_at: Annotated[Time | None, Meta(description="When the turn of the last one comes")]


@operation(
    dead_letters,
    Operation(
        method="POST",
        path="/api/v1/dead-letters/replay",
        tag=_TAG,
        summary="Try dead letters again, up to 100 a call",
        status=202,
        body=HowMany,
        body_optional=True,
        answer=ReplayView,
        errors=(UnavailableError,),
    ),
)
def replay_many(call: Call[HowMany, None]) -> ReplayView:
    """The oldest first. Repeat the request while any are `left`.

    Jobs start at a pace of 10 a second, unless the deployment has another, and the jobs of one call
    begin after those of the call before it: repeating the request quickly floods no queue.
    """
    done = replay_all(call.body.limit)
    last = done.last_starts_at
    return ReplayView(len(done.jobs), done.left, None if last is None else rfc3339(last))


@operation(
    dead_letters,
    Operation(
        method="POST",
        path="/api/v1/dead-letters/{id}/replay",
        tag=_TAG,
        summary="Try one dead letter again",
        status=202,
        answer=JobView,
        errors=(DeadLetterNotFoundError, VersionMovedError, UnavailableError),
    ),
)
def replay_one(call: Call[None, None]) -> Answer:
    """The job becomes CREATED again under its id, with as many attempts more as it was given, and starts at once."""
    job = replay(parse_job_id(call.path["id"]))
    return Answer(job_view(job), etag(job))
