"""Lists of jobs, a page at a time, at a cost that follows the page and never the table.

| list                          | index         | order            | filtered after reading |
|-------------------------------|---------------|------------------|------------------------|
| of an owner                   | owner         | newest first     | by type                |
| of an owner, finished status  | owner_outcome | newest first     | by type                |
| of an owner, CREATED, RUNNING | owner         | newest first     | by status, type        |
| of all, finished status       | outcome       | newest first     | by type                |
| of all, CREATED, RUNNING      | live          | next look first  | by status, type        |

Indexes follow the table within milliseconds, not at once: a job may be missing from a list for a moment, and one
whose status has just changed is left out. The live list moves while it is read: a job that the sweeper looks at in
between may show up again on a later page, but is never missed.
"""

import math
import sys
from collections.abc import Sequence

import msgspec

from leaseway import cursors, totals
from leaseway.batches import read_items
from leaseway.errors import InvalidInputError
from leaseway.jobs.model import LIVE, Job, JobStatus, job_from_item
from leaseway.jobs.shards import Index, Position, Walk
from leaseway.settings import settings

LARGEST_PAGE = 100
DEEPEST_OFFSET = 1_000


class UseCursorError(InvalidInputError):
    """The page is too deep to be counted off."""

    code = "USE_CURSOR"

    def __init__(self) -> None:
        super().__init__(f"pages beyond {DEEPEST_OFFSET} jobs are reached by the cursor only", field="page")


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `cursor` leads on and is None at the end; `page` is None where a cursor led here."""

    content: list[Job]
    total_elements: int
    total_pages: int
    page: int | None
    size: int
    cursor: str | None


class _Selection(msgspec.Struct, frozen=True):
    """What a list is of."""

    owner: str | None
    status: JobStatus | None
    type_name: str | None

    @property
    def bound_to(self) -> cursors.Binding:
        return ("jobs", self.owner, self.status and self.status.value, self.type_name)

    @property
    def filtered(self) -> bool:
        """Whether the index holds jobs that do not belong into the list."""
        return self.type_name is not None or self.status in LIVE

    def holds(self, job: Job) -> bool:
        return (
            self.owner in (None, job.owner) and self.status in (None, job.status) and self.type_name in (None, job.type)
        )

    def index(self) -> Index:
        if self.owner is None:
            assert self.status is not None  # noqa: S101 - page_of_jobs has refused it
            return live_index() if self.status in LIVE else _outcome(self.status)
        if self.status is None or self.status in LIVE:
            return _of_owner(self.owner)
        return _outcome_of_owner(self.owner, self.status)


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds: the key to go on after, and matches still to pass over before the page begins."""

    after: Position
    skip: int = 0


class _Found(msgspec.Struct):
    """What a walk brought: the page's jobs, where to go on (None at the end), and the list's length where known."""

    content: list[Job]
    next: _Place | None
    length: int | None


def page_of_jobs(  # noqa: PLR0913 - a list's filter and its window
    *,
    owner: str | None,
    status: JobStatus | None = None,
    type_name: str | None = None,
    page: int | None = None,
    size: int = 20,
    cursor: str | None = None,
) -> JobPage:
    """A page of an owner's jobs, or with `owner` None of everybody's in one status.

    One Query a shard (4 for an owner, 16 for all), one BatchGetItem, one Query for the total. A list filtered by type
    or by CREATED or RUNNING reads at most `LIST_KEY_BUDGET` index keys, then ends the page, short or empty, with a
    cursor; a cursor from there may lead to an empty last page.
    Large payloads and results stay in the bucket: `payload_key` and `result_key` say so.

    Raises:
        InvalidInputError: size or page out of bounds, page together with cursor, or all owners without a status.
        UseCursorError: page x size is beyond 1,000.
        InvalidCursorError: the cursor belongs to another list.
        UnavailableError: DynamoDB kept part of the page back.
    """
    offset = _offset(page, size, cursor)
    if owner is None and status is None:
        raise InvalidInputError("a list of all owners needs a status", field="status")
    selection = _Selection(owner, status, type_name)
    start = cursors.read(cursor, selection.bound_to, _Place) if cursor is not None else None
    found = (_filter if selection.filtered else _cut)(selection, start, offset, size)
    length = _length(selection, found, offset)
    return JobPage(
        content=found.content,
        total_elements=length,
        total_pages=math.ceil(length / size),
        page=None if cursor is not None else offset // size,
        size=size,
        cursor=cursors.sign(found.next, selection.bound_to) if found.next else None,
    )


def _offset(page: int | None, size: int, cursor: str | None) -> int:
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidInputError(f"size is from 1 to {LARGEST_PAGE}", field="size")
    if page is not None and cursor is not None:
        raise InvalidInputError("page and cursor exclude each other", field="page")
    if page is not None and page < 0:
        raise InvalidInputError("page counts from 0", field="page")
    offset = (page or 0) * size
    if offset > DEEPEST_OFFSET:
        raise UseCursorError
    return offset


def _cut(selection: _Selection, start: _Place | None, offset: int, size: int) -> _Found:
    """A page of an index that holds nothing but the list. One key more than the page tells whether there is more."""
    keys = Walk(selection.index(), start.after if start else None, sys.maxsize).take(offset + size + 1)
    more = len(keys) > offset + size
    chosen = keys[offset : offset + size]
    content = [job for _, job in _jobs(chosen, selection)]
    return _Found(content, _Place(chosen[-1]) if more else None, None if more or start else len(keys))


def _filter(selection: _Selection, start: _Place | None, offset: int, size: int) -> _Found:
    """A page of an index that holds other jobs too: read on until the page is full or the budget spent."""
    skip = start.skip if start else offset
    end, step = skip + size, size
    walk = Walk(selection.index(), start.after if start else None, settings().list_key_budget)
    matches: list[tuple[Position, Job]] = []
    walked: list[Position] = []
    while len(matches) < end and (keys := walk.take(step)):
        matches += _jobs(keys, selection)
        walked, step = keys, 2 * step  # what matches seldom is looked for in larger strides
    content = [job for _, job in matches[skip:end]]
    if len(matches) > end:
        return _Found(content, _Place(matches[end - 1][0]), None)
    if walk.ended:
        return _Found(content, None, None if start else len(matches))
    return _Found(content, _Place(walked[-1], max(0, skip - len(matches))), None)


def _length(selection: _Selection, found: _Found, offset: int) -> int:
    # The totals lag behind the stream, so what was just seen is better knowledge. They are asked even where the length
    # is known: a list's cost should not depend on where it ends.
    status = selection.status and selection.status.value
    counted = totals.total(selection.owner, status, selection.type_name)
    return max(counted, offset + len(found.content)) if found.length is None else found.length


def _jobs(keys: Sequence[Position], selection: _Selection) -> list[tuple[Position, Job]]:
    """The jobs of those keys that (still) belong into the list, in order. Half a read unit each (per 4 KB)."""
    items = {item["id"]["S"]: item for item in read_items("jobs_table", [key.id for key in keys])}
    jobs = ((key, job_from_item(items[key.id])) for key in keys if key.id in items)
    return [(key, job) for key, job in jobs if job is not None and selection.holds(job)]


def _of_owner(owner: str) -> Index:
    hashes = tuple(f"{owner}#{shard}" for shard in range(settings().owner_shards))
    return Index(name="owner", hash_name="owner_key", range_name="created_key", hashes=hashes)


def _outcome_of_owner(owner: str, status: JobStatus) -> Index:
    hashes = tuple(f"{owner}#{status.value}#{shard}" for shard in range(settings().owner_shards))
    return Index(name="owner_outcome", hash_name="owner_outcome_key", range_name="created_key", hashes=hashes)


def _outcome(status: JobStatus) -> Index:
    hashes = tuple(f"{status.value}#{shard}" for shard in range(settings().outcome_shards))
    return Index(name="outcome", hash_name="outcome_key", range_name="created_key", hashes=hashes)


def live_index() -> Index:
    """Jobs of everybody that are CREATED or RUNNING, by their next look."""
    hashes = tuple(str(shard) for shard in range(settings().outcome_shards))
    return Index(name="live", hash_name="live_key", range_name="look_at", hashes=hashes, numeric=True, descending=False)
