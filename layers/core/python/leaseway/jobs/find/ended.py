"""Lists of jobs by the time of their end: what ended since a time, the oldest end first, for those who poll.

A poller asks with the cursor of the last page, again and again, and gets each end once. That needs two rules:

    a write of an end may take a while:  finished_at --write, SDK retries, index--> visible
    so the list stops short of now:      ...ends that are listed | `SETTLED_MS` | now

An end that becomes visible late is thus still in front of every cursor. The other rule: a page always has a cursor,
the last one too. A job that is retried leaves the list, and comes again with its next end.
"""

from leaseway import clock, cursors
from leaseway.dynamodb.index_walk import IndexPosition
from leaseway.errors import InvalidInputError
from leaseway.jobs.find.lists import JobPage, ListPart, ListPlace, read_filtered
from leaseway.jobs.find.selection import Selection
from leaseway.jobs.job import JobStatus
from leaseway.jobs.tag_syntax import check_tag
from leaseway.settings import settings

SETTLED_MS = 60_000
"""An end is listed when it is this old. Three tries of a write take 40 s at most; the rest is for clocks and index."""


class NoEndedIndexError(InvalidInputError):
    """This deployment has no index of jobs by their end."""

    code = "NO_ENDED_INDEX"

    def __init__(self) -> None:
        super().__init__("this deployment has no index of jobs by their end (EndedIndex)", field="ended_after")


def page_of_ended_jobs(  # noqa: PLR0913 - a list's filter and its window
    *,
    owner: str | None,
    ended_after: int,
    status: JobStatus | None = None,
    type_name: str | None = None,
    tag: str | None = None,
    size: int = 20,
    cursor: str | None = None,
) -> JobPage:
    """Read a page of the jobs of an owner (all owners if None) that ended at `ended_after` (ms) or later.

    One Query a shard (16) and one BatchGetItem. At most `LIST_KEY_BUDGET` index keys are read, including those of other
    owners and what a filter excludes; a page may therefore be short or empty although its cursor leads to more. At the
    end of the list the cursor stays the same.

    Raises:
        NoEndedIndexError: the deployment has no such index.
        InvalidInputError: size out of bounds, a status that is no end, or an invalid tag.
        InvalidCursorError: the cursor belongs to another list.
        UnavailableError: DynamoDB returned only some of the jobs.
    """
    if settings().ended_index == "false":
        raise NoEndedIndexError
    cursors.require_page_size(size)
    if status is not None and not status.is_terminal:
        raise InvalidInputError(f"a job that is {status.value} has not ended", field="status")
    settled = clock.now_ms() - SETTLED_MS
    selection = Selection(
        owner=owner,
        statuses=(status,) if status else (),
        type_name=type_name,
        tag=None if tag is None else check_tag(tag),
        ended_from=ended_after,
        ended_before=settled,
    )
    bound_to = selection.binding("ended")
    start = ListPlace(_before_all(ended_after)) if cursor is None else cursors.read(cursor, bound_to, ListPlace)
    # So it is if `ended_after` is in the future, or if the clock of the process that made the cursor is ahead.
    is_ahead = str(start.after.sort) >= f"{settled:013d}"
    part = ListPart([], start, None) if is_ahead else read_filtered(selection, start, 0, size)
    onward = part.next or ListPlace(part.last or start.after)
    return JobPage(
        content=part.content,
        total_elements=None,
        total_pages=None,
        page=None,
        size=size,
        cursor=cursors.sign(onward, bound_to),
    )


def _before_all(ended_after: int) -> IndexPosition:
    """Return a position before every end at that time (ms) or later."""
    return IndexPosition(f"{ended_after:013d}", -1, "")
