"""Which jobs a list holds, and the index that it is read from."""

from collections.abc import Sequence

import msgspec

from leaseway import cursors
from leaseway.dynamodb.index_walk import Index, IndexPosition
from leaseway.jobs import tags
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.table import created_key, end_key, owner_mark, timed_keys, waiting_keys
from leaseway.settings import settings


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: of an owner (all owners if None), and if set in these statuses, of a type, with a tag, of a time."""

    owner: str | None
    statuses: tuple[JobStatus, ...] = ()
    type_name: str | None = None
    tag: str | None = None
    created_from: int | None = None
    """Milliseconds since the epoch."""
    created_before: int | None = None
    ended_from: int | None = None
    """Jobs that ended at this time or later (ms), by their end; `ended_before` is required with it."""
    ended_before: int | None = None
    dead_lettered: bool = False
    """Only dead letters; no other field but the owner, None, may be set with it."""

    def binding(self, purpose: str) -> cursors.Binding:
        """Return what a cursor of this list belongs to: all but `ended_before`, which moves while a list is polled."""
        statuses = "+".join(self.statuses) or None
        times = (str(self.created_from), str(self.created_before))
        dead = "dead" if self.dead_lettered else None
        ended = () if self.ended_from is None else (str(self.ended_from),)
        return (purpose, self.owner, statuses, self.type_name, self.tag, *times, dead, *ended)

    @property
    def needs_filter(self) -> bool:
        """Whether the index also holds jobs that do not belong to the list."""
        further = (self.type_name, self.tag, self.created_from, self.created_before, self.ended_from)
        return not self._selects_ended or any(one is not None for one in further)

    def holds(self, job: Job) -> bool:
        """Return whether the job belongs to the list."""
        return (
            self.owner in (None, job.owner)
            and (not self.dead_lettered or job.dead_lettered_at is not None)
            and (not self.statuses or job.status in self.statuses)
            and self.type_name in (None, job.type)
            and (self.tag is None or self.tag in job.tags)
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_before is None or job.created_at < self.created_before)
            and (self.ended_from is None or (job.finished_at is not None and job.finished_at >= self.ended_from))
        )

    def may_hold(self, key: IndexPosition) -> bool:
        """Return whether the job of an index key may belong to the list, as far as the key shows it."""
        return self.ended_from is None or self.owner is None or f"#{owner_mark(self.owner)}#" in str(key.sort)

    def index(self) -> Index:
        """Choose the index that the list is read from."""
        if self.ended_from is not None:
            return _restrict(_index_of_ended(), self.ended_from, self.ended_before)
        if self.dead_lettered:
            return dead_letter_index()
        if self.owner is None:
            assert self.statuses  # noqa: S101 - `page_of_jobs` has checked it
            return self._restrict_to_creation(_outcome_index(self.statuses)) if self._selects_ended else live_index()
        if self.tag is not None:
            return self._restrict_to_creation(_tag_index(self.owner, self.tag))
        if self.statuses and self._selects_ended:
            return self._restrict_to_creation(_owner_outcome_index(self.owner, self.statuses))
        return self._restrict_to_creation(_owner_index(self.owner))

    @property
    def _selects_ended(self) -> bool:
        """Whether no job of the list may be live, if it has statuses at all."""
        return all(status.is_terminal for status in self.statuses)

    def _restrict_to_creation(self, index: Index) -> Index:
        return _restrict(index, self.created_from, self.created_before)


def names_job(key: IndexPosition, job: Job) -> bool:
    """Return whether the key is one that the job has: a repeated creation may leave a tag's row of another time."""
    if isinstance(key.sort, int) or key.sort == created_key(job.created_at, job.id):
        return True
    return job.finished_at is not None and key.sort == end_key(job.finished_at, job.owner, job.id)


def _restrict(index: Index, lowest: int | None, below: int | None) -> Index:
    """Restrict an index to range keys that begin with a time (ms) from `lowest` to before `below`."""
    first, last = (None if time is None else f"{time:013d}" for time in (lowest, below))
    return msgspec.structs.replace(index, lowest=first, below=last)


def _owner_index(owner: str) -> Index:
    hashes = tuple(f"{owner}#{shard}" for shard in range(settings().owner_shards))
    return Index(name="owner", hash_name="owner_key", range_name="created_key", hashes=hashes)


def _tag_index(owner: str, tag: str) -> Index:
    return Index(
        name=None,
        table="tags_table",
        hash_name="tag_key",
        range_name="created_key",
        hashes=tags.hash_keys(owner, tag),
    )


def _owner_outcome_index(owner: str, statuses: Sequence[JobStatus]) -> Index:
    shards = range(settings().owner_shards)
    hashes = tuple(f"{owner}#{status.value}#{shard}" for status in statuses for shard in shards)
    return Index(name="owner_outcome", hash_name="owner_outcome_key", range_name="created_key", hashes=hashes)


def _outcome_index(statuses: Sequence[JobStatus]) -> Index:
    shards = range(settings().outcome_shards)
    hashes = tuple(f"{status.value}#{shard}" for status in statuses for shard in shards)
    return Index(name="outcome", hash_name="outcome_key", range_name="created_key", hashes=hashes)


def live_index() -> Index:
    """Describe the index of CREATED and RUNNING jobs of all owners, by their next look."""
    return index_of_live((*waiting_keys(), *timed_keys()))


def index_of_live(hashes: Sequence[str]) -> Index:
    """Describe some shards of the index of live jobs, such as `timed_keys()`."""
    return Index(
        name="live", hash_name="live_key", range_name="look_at", hashes=tuple(hashes), numeric=True, descending=False
    )


def dead_letter_index() -> Index:
    """Describe the index of dead letters of all owners, by when they were given up."""
    hashes = tuple(str(shard) for shard in range(settings().outcome_shards))
    return Index(
        name="dead_letter", hash_name="dead_letter_key", range_name="dead_lettered_at", hashes=hashes, numeric=True
    )


def _index_of_ended() -> Index:
    """Describe the index of ended jobs of all owners, by their end."""
    hashes = tuple(str(shard) for shard in range(settings().outcome_shards))
    return Index(name="ended", hash_name="ended_shard", range_name="ended_key", hashes=hashes, descending=False)
