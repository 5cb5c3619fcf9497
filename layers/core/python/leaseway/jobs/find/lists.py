"""Lists of jobs, a page at a time, at a cost that follows the page and never the table.

| list                          | index         | order            | filtered after reading |
|-------------------------------|---------------|------------------|------------------------|
| of an owner                   | owner         | newest first     | by type                |
| of an owner, finished status  | owner_outcome | newest first     | by type                |
| of an owner, CREATED, RUNNING | owner         | newest first     | by status, type        |
| of an owner, tag              | the tags      | newest first     | by status, type        |
| of all, finished status       | outcome       | newest first     | by type, tag           |
| of all, CREATED, RUNNING      | live          | next look first  | by status, type, tag   |
| of all, dead letters          | dead_letter   | given up last    |                        |
| by end (`leaseway.jobs.find.ended`) | ended   | oldest end first | by owner, status, type, tag |

Indexes follow the table within milliseconds, not at once: a job may be missing from a list for a moment, and one
whose status has just changed is left out. The live list moves while it is read: a job that the sweeper looks at in
between may show up again on a later page, but is never missed.
"""

import math
import sys
from collections.abc import Sequence

import msgspec

from leaseway import cursors
from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.index_walk import IndexPosition, Walk
from leaseway.errors import InvalidInputError
from leaseway.jobs.find.selection import Selection, names_job
from leaseway.jobs.find.totals import count_dead_letters, count_jobs
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import job_from_item
from leaseway.jobs.tag_syntax import check_tag
from leaseway.settings import settings

DEEPEST_OFFSET = 1_000


class UseCursorError(InvalidInputError):
    """The page is too far from the start; use a cursor."""

    code = "USE_CURSOR"

    def __init__(self) -> None:
        super().__init__(f"pages beyond {DEEPEST_OFFSET} jobs are reached by the cursor only", field="page")


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `cursor` leads to the next one and is None at the end; `page` is None if a cursor led here."""

    content: list[Job]
    total_elements: int | None
    """None in a list by tag, unless this page is all of it, and in a list by end."""
    total_pages: int | None
    page: int | None
    size: int
    cursor: str | None


class ListPlace(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds: the key to continue after, and how many matches to skip before the page begins."""

    after: IndexPosition
    skip: int = 0


class ListPart(msgspec.Struct):
    """What a walk of an index read for a page."""

    content: list[Job]
    next: ListPlace | None
    """Where the next page begins; None at the end of the list."""
    length: int | None
    """The length of the list, if the walk read all of it."""
    last: IndexPosition | None = None
    """The last key that was read."""


def page_of_jobs(  # noqa: PLR0913 - a list's filter and its window
    *,
    owner: str | None,
    status: JobStatus | None = None,
    type_name: str | None = None,
    tag: str | None = None,
    page: int | None = None,
    size: int = 20,
    cursor: str | None = None,
) -> JobPage:
    """Read a page of an owner's jobs, or with `owner` None of all owners' in one status.

    One Query a shard (4 for an owner, 16 for all), one BatchGetItem, one Query for the total. A list filtered by type
    or tag, or by CREATED or RUNNING, reads at most `LIST_KEY_BUDGET` index keys, then ends the page, short or empty,
    with a cursor; a cursor from there may lead to an empty last page.
    Large payloads and results stay in the bucket: `payload_key` and `result_key` say so.

    Raises:
        InvalidInputError: size or page out of bounds, page together with cursor, all owners without a status, or an
            invalid tag.
        UseCursorError: page x size is beyond 1,000.
        InvalidCursorError: the cursor belongs to another list.
        UnavailableError: DynamoDB returned only some of the jobs.
    """
    offset = _offset(page, size, cursor)
    if owner is None and status is None:
        raise InvalidInputError("a list of all owners needs a status", field="status")
    selection = Selection(
        owner=owner,
        statuses=(status,) if status else (),
        type_name=type_name,
        tag=None if tag is None else check_tag(tag),
    )
    return _page(selection, offset, size, cursor)


def page_of_dead_letters(*, page: int | None = None, size: int = 20, cursor: str | None = None) -> JobPage:
    """Read a page of all dead letters, given up last first. One Query a shard (16), one BatchGetItem, one total.

    Raises what `page_of_jobs` does.
    """
    return _page(Selection(owner=None, dead_lettered=True), _offset(page, size, cursor), size, cursor)


def _page(selection: Selection, offset: int, size: int, cursor: str | None) -> JobPage:
    bound_to = selection.binding("jobs")
    start = cursors.read(cursor, bound_to, ListPlace) if cursor is not None else None
    read = read_filtered if selection.needs_filter else _read_exact
    part = read(selection, start, offset, size)
    length = _count(selection, part, offset)
    return JobPage(
        content=part.content,
        total_elements=length,
        total_pages=None if length is None else math.ceil(length / size),
        page=None if cursor is not None else offset // size,
        size=size,
        cursor=cursors.sign(part.next, bound_to) if part.next else None,
    )


def find(
    selection: Selection, purpose: str, *, limit: int, cursor: str | None = None, oldest_first: bool = False
) -> tuple[list[Job], str | None]:
    """Find up to `limit` jobs of a selection; returns them and the cursor to the rest, None at the end.

    Costs what a filtered list does.

    The newest come first, or with `oldest_first` the oldest; live jobs of all owners by their next look.

    Raises:
        InvalidInputError: a limit out of bounds, or all owners without a status.
        InvalidCursorError: the cursor belongs to another selection or purpose.
        UnavailableError: DynamoDB returned only some of the jobs.
    """
    cursors.require_page_size(limit, "limit")
    bound_to = selection.binding(purpose)
    start = cursors.read(cursor, bound_to, ListPlace) if cursor is not None else None
    part = read_filtered(selection, start, 0, limit, oldest_first=oldest_first)
    return part.content, cursors.sign(part.next, bound_to) if part.next else None


def _offset(page: int | None, size: int, cursor: str | None) -> int:
    cursors.require_page_size(size)
    if page is not None and cursor is not None:
        raise InvalidInputError("page and cursor exclude each other", field="page")
    if page is not None and page < 0:
        raise InvalidInputError("page counts from 0", field="page")
    offset = (page or 0) * size
    if offset > DEEPEST_OFFSET:
        raise UseCursorError
    return offset


def _read_exact(selection: Selection, start: ListPlace | None, offset: int, size: int) -> ListPart:
    """Read a page of an index that holds only the list. One key beyond the page shows whether there is more."""
    keys = Walk(selection.index(), start.after if start else None, sys.maxsize).take(offset + size + 1)
    more = len(keys) > offset + size
    on_page = keys[offset : offset + size]
    content = [job for _, job in _read_jobs(on_page, selection)]
    return ListPart(content, ListPlace(on_page[-1]) if more else None, None if more or start else len(keys))


def read_filtered(
    selection: Selection, start: ListPlace | None, offset: int, size: int, *, oldest_first: bool = False
) -> ListPart:
    """Read a page of an index that holds other jobs too, until the page is full or `LIST_KEY_BUDGET` is spent.

    Raises:
        UnavailableError: DynamoDB returned only some of the jobs.
    """
    skip = start.skip if start else offset
    end, step = skip + size, size
    index = selection.index()
    index = msgspec.structs.replace(index, descending=index.descending and not oldest_first)
    walk = Walk(index, start.after if start else None, settings().list_key_budget)
    matches: list[tuple[IndexPosition, Job]] = []
    walked: list[IndexPosition] = []
    while len(matches) < end and (keys := walk.take(step)):
        matches += _read_jobs(keys, selection)
        walked, step = keys, 2 * step  # if few match, larger steps need fewer calls
    content = [job for _, job in matches[skip:end]]
    if len(matches) > end:
        return ListPart(content, ListPlace(matches[end - 1][0]), None)
    last = walked[-1] if walked else None
    if walk.ended:
        return ListPart(content, None, None if start else len(matches), last)
    return ListPart(content, ListPlace(walked[-1], max(0, skip - len(matches))), None, last)


def _count(selection: Selection, part: ListPart, offset: int) -> int | None:
    """Return the length of a list; None for a list by tag, for tags are not counted, unless all of it was read."""
    if selection.tag is not None:
        return part.length
    # The totals lag behind the stream, so what was just read is more recent. They are read even if the length is known:
    # a list's cost should not depend on where it ends.
    status = selection.statuses[0].value if selection.statuses else None
    counted = (
        count_dead_letters() if selection.dead_lettered else count_jobs(selection.owner, status, selection.type_name)
    )
    return max(counted, offset + len(part.content)) if part.length is None else part.length


def _read_jobs(keys: Sequence[IndexPosition], selection: Selection) -> list[tuple[IndexPosition, Job]]:
    """Read the jobs of those keys that (still) belong to the list, in order. Half a read unit each (per 4 KB)."""
    keys = [key for key in keys if selection.may_hold(key)]
    items = {item["id"]["S"]: item for item in read_items("jobs_table", [key.id for key in keys])}
    jobs = ((key, job_from_item(items[key.id])) for key in keys if key.id in items)
    return [(key, job) for key, job in jobs if job is not None and selection.holds(job) and names_job(key, job)]
