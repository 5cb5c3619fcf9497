"""Dead letters: jobs whose messages no worker could process. List them, and replay one or many."""

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
    """Jobs of all users that FAILED because their message was delivered many times and no worker could process it.

    The most recent comes first. The total comes from the table's stream and is some seconds late.
    """
    query = call.query
    return page_view(page_of_dead_letters(page=query.page, size=query.size, cursor=query.cursor))


class HowMany(msgspec.Struct, forbid_unknown_fields=True):
    """The number of dead letters to replay."""

    limit: Annotated[int, Meta(ge=1, le=LARGEST_REPLAY, description="The largest number that this call replays")] = (
        LARGEST_REPLAY
    )


class ReplayView(msgspec.Struct):
    """The result of a replay."""

    replayed: int
    left: Annotated[int, Meta(description="Remaining dead letters, counted up to 1000")]
    last_starts_at: Annotated[Time | None, Meta(description="When the last one starts")]


@operation(
    dead_letters,
    Operation(
        method="POST",
        path="/api/v1/dead-letters/replay",
        tag=_TAG,
        summary="Replay up to 100 dead letters",
        status=202,
        body=HowMany,
        body_optional=True,
        answer=ReplayView,
        errors=(UnavailableError,),
    ),
)
def replay_many(call: Call[HowMany, None]) -> ReplayView:
    """Replays the oldest first. Repeat the request while any are `left`.

    By default, 10 jobs start per second. The jobs of a call start after those of the previous call, so repeating the
    request quickly does not flood the queue.
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
        summary="Replay a dead letter",
        status=202,
        answer=JobView,
        errors=(DeadLetterNotFoundError, VersionMovedError, UnavailableError),
    ),
)
def replay_one(call: Call[None, None]) -> Answer:
    """The job becomes CREATED again and starts at once. It keeps its id and gets as many attempts as it had before."""
    job = replay(parse_job_id(call.path["id"]))
    return Answer(job_view(job), etag(job))
