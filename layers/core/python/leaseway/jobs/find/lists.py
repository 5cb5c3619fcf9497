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
from leaseway.dynamodb.index_walk import Index, Position, Walk
from leaseway.errors import InvalidInputError
from leaseway.jobs import tags
from leaseway.jobs.find.totals import count_dead_letters, count_jobs
from leaseway.jobs.job import LIVE, Job, JobStatus
from leaseway.jobs.table import created_key, job_from_item
from leaseway.settings import settings

DEEPEST_OFFSET = 1_000


class UseCursorError(InvalidInputError):
    """The page is too deep to be counted off."""

    code = "USE_CURSOR"

    def __init__(self) -> None:
        super().__init__(f"pages beyond {DEEPEST_OFFSET} jobs are reached by the cursor only", field="page")


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `cursor` leads on and is None at the end; `page` is None where a cursor led here."""

    content: list[Job]
    total_elements: int | None
    """None where nobody counts: in a list by tag, unless this page is all of it."""
    total_pages: int | None
    page: int | None
    size: int
    cursor: str | None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: of an owner (None: of all), and where given in these statuses, of a type, with a tag, of a time."""

    owner: str | None
    statuses: tuple[JobStatus, ...] = ()
    type_name: str | None = None
    tag: str | None = None
    created_from: int | None = None
    """Milliseconds since the epoch."""
    created_before: int | None = None
    dead_lettered: bool = False
    """Only dead letters; nothing else but their time can be asked for then."""

    def bound_to(self, purpose: str) -> cursors.Binding:
        """What a cursor of this list belongs to."""
        statuses = "+".join(self.statuses) or None
        times = (str(self.created_from), str(self.created_before))
        return (purpose, self.owner, statuses, self.type_name, self.tag, *times, "dead" if self.dead_lettered else None)

    @property
    def filtered(self) -> bool:
        """Whether the index holds jobs that do not belong into the list."""
        further = (self.type_name, self.tag, self.created_from, self.created_before)
        return not self._finished or any(one is not None for one in further)

    def holds(self, job: Job) -> bool:
        """Whether the job belongs into the list."""
        return (
            self.owner in (None, job.owner)
            and (not self.dead_lettered or job.dead_lettered_at is not None)
            and (not self.statuses or job.status in self.statuses)
            and self.type_name in (None, job.type)
            and (self.tag is None or self.tag in job.tags)
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_before is None or job.created_at < self.created_before)
        )

    def index(self) -> Index:
        """The index that the list is read from."""
        if self.dead_lettered:
            return dead_letter_index()
        if self.owner is None:
            assert self.statuses  # noqa: S101 - who asks has refused it
            return self._in_time(_outcome(self.statuses)) if self._finished else live_index()
        if self.tag is not None:
            return self._in_time(_of_tag(self.owner, self.tag))
        if self.statuses and self._finished:
            return self._in_time(_outcome_of_owner(self.owner, self.statuses))
        return self._in_time(_of_owner(self.owner))

    @property
    def _finished(self) -> bool:
        return LIVE[0] not in self.statuses and LIVE[1] not in self.statuses

    def _in_time(self, index: Index) -> Index:
        lowest, below = (None if time is None else f"{time:013d}" for time in (self.created_from, self.created_before))
        return msgspec.structs.replace(index, lowest=lowest, below=below)


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
    tag: str | None = None,
    page: int | None = None,
    size: int = 20,
    cursor: str | None = None,
) -> JobPage:
    """A page of an owner's jobs, or with `owner` None of everybody's in one status.

    One Query a shard (4 for an owner, 16 for all), one BatchGetItem, one Query for the total. A list filtered by type
    or tag, or by CREATED or RUNNING, reads at most `LIST_KEY_BUDGET` index keys, then ends the page, short or empty,
    with a cursor; a cursor from there may lead to an empty last page.
    Large payloads and results stay in the bucket: `payload_key` and `result_key` say so.

    Raises:
        InvalidInputError: size or page out of bounds, page together with cursor, all owners without a status, or what
            is no tag.
        UseCursorError: page x size is beyond 1,000.
        InvalidCursorError: the cursor belongs to another list.
        UnavailableError: DynamoDB kept part of the page back.
    """
    offset = _offset(page, size, cursor)
    if owner is None and status is None:
        raise InvalidInputError("a list of all owners needs a status", field="status")
    selection = Selection(
        owner=owner,
        statuses=(status,) if status else (),
        type_name=type_name,
        tag=None if tag is None else tags.check_tag(tag),
    )
    return _page(selection, offset, size, cursor)


def page_of_dead_letters(*, page: int | None = None, size: int = 20, cursor: str | None = None) -> JobPage:
    """A page of everybody's dead letters, given up last first. One Query a shard (16), one BatchGetItem, one total.

    Raises what `page_of_jobs` does.
    """
    return _page(Selection(owner=None, dead_lettered=True), _offset(page, size, cursor), size, cursor)


def _page(selection: Selection, offset: int, size: int, cursor: str | None) -> JobPage:
    bound_to = selection.bound_to("jobs")
    start = cursors.read(cursor, bound_to, _Place) if cursor is not None else None
    found = (_filter if selection.filtered else _cut)(selection, start, offset, size)
    length = _length(selection, found, offset)
    return JobPage(
        content=found.content,
        total_elements=length,
        total_pages=None if length is None else math.ceil(length / size),
        page=None if cursor is not None else offset // size,
        size=size,
        cursor=cursors.sign(found.next, bound_to) if found.next else None,
    )


def find(
    selection: Selection, purpose: str, *, limit: int, cursor: str | None = None, oldest_first: bool = False
) -> tuple[list[Job], str | None]:
    """Up to `limit` jobs of a selection, and the cursor that leads on; None at the end. Reads as a filtered list does.

    The newest come first, or with `oldest_first` the oldest; live jobs of all owners by their next look.

    Raises:
        InvalidInputError: a limit out of bounds, or all owners without a status.
        InvalidCursorError: the cursor belongs to another selection or purpose.
        UnavailableError: DynamoDB kept part of them back.
    """
    cursors.require_page_size(limit, "limit")
    bound_to = selection.bound_to(purpose)
    start = cursors.read(cursor, bound_to, _Place) if cursor is not None else None
    found = _filter(selection, start, 0, limit, oldest_first=oldest_first)
    return found.content, cursors.sign(found.next, bound_to) if found.next else None


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


def _cut(selection: Selection, start: _Place | None, offset: int, size: int) -> _Found:
    """A page of an index that holds nothing but the list. One key more than the page tells whether there is more."""
    keys = Walk(selection.index(), start.after if start else None, sys.maxsize).take(offset + size + 1)
    more = len(keys) > offset + size
    chosen = keys[offset : offset + size]
    content = [job for _, job in _jobs(chosen, selection)]
    return _Found(content, _Place(chosen[-1]) if more else None, None if more or start else len(keys))


def _filter(
    selection: Selection, start: _Place | None, offset: int, size: int, *, oldest_first: bool = False
) -> _Found:
    """A page of an index that holds other jobs too: read on until the page is full or the budget spent."""
    skip = start.skip if start else offset
    end, step = skip + size, size
    index = selection.index()
    index = msgspec.structs.replace(index, descending=index.descending and not oldest_first)
    walk = Walk(index, start.after if start else None, settings().list_key_budget)
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


def _length(selection: Selection, found: _Found, offset: int) -> int | None:
    if selection.tag is not None:
        return found.length  # nobody counts tags
    # The totals lag behind the stream, so what was just seen is better knowledge. They are asked even where the length
    # is known: a list's cost should not depend on where it ends.
    status = selection.statuses[0].value if selection.statuses else None
    counted = (
        count_dead_letters() if selection.dead_lettered else count_jobs(selection.owner, status, selection.type_name)
    )
    return max(counted, offset + len(found.content)) if found.length is None else found.length


def _jobs(keys: Sequence[Position], selection: Selection) -> list[tuple[Position, Job]]:
    """The jobs of those keys that (still) belong into the list, in order. Half a read unit each (per 4 KB)."""
    items = {item["id"]["S"]: item for item in read_items("jobs_table", [key.id for key in keys])}
    jobs = ((key, job_from_item(items[key.id])) for key in keys if key.id in items)
    return [(key, job) for key, job in jobs if job is not None and selection.holds(job) and _is_of(key, job)]


def _is_of(key: Position, job: Job) -> bool:
    """Whether the key is the job's: a creation that was a repeat may have left a tag's row of another time."""
    return isinstance(key.sort, int) or key.sort == created_key(job.created_at, job.id)


def _of_owner(owner: str) -> Index:
    hashes = tuple(f"{owner}#{shard}" for shard in range(settings().owner_shards))
    return Index(name="owner", hash_name="owner_key", range_name="created_key", hashes=hashes)


def _of_tag(owner: str, tag: str) -> Index:
    return Index(
        name=None,
        table="tags_table",
        hash_name="tag_key",
        range_name="created_key",
        hashes=tags.hash_keys(owner, tag),
    )


def _outcome_of_owner(owner: str, statuses: Sequence[JobStatus]) -> Index:
    shards = range(settings().owner_shards)
    hashes = tuple(f"{owner}#{status.value}#{shard}" for status in statuses for shard in shards)
    return Index(name="owner_outcome", hash_name="owner_outcome_key", range_name="created_key", hashes=hashes)


def _outcome(statuses: Sequence[JobStatus]) -> Index:
    shards = range(settings().outcome_shards)
    hashes = tuple(f"{status.value}#{shard}" for status in statuses for shard in shards)
    return Index(name="outcome", hash_name="outcome_key", range_name="created_key", hashes=hashes)


def live_index() -> Index:
    """Jobs of everybody that are CREATED or RUNNING, by their next look."""
    hashes = tuple(str(shard) for shard in range(settings().outcome_shards))
    return Index(name="live", hash_name="live_key", range_name="look_at", hashes=hashes, numeric=True, descending=False)


def dead_letter_index() -> Index:
    """Dead letters of everybody, by when they were given up."""
    hashes = tuple(str(shard) for shard in range(settings().outcome_shards))
    return Index(
        name="dead_letter", hash_name="dead_letter_key", range_name="dead_lettered_at", hashes=hashes, numeric=True
    )
