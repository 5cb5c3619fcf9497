"""Tags: words that a job is found by again, one row each in a table of their own.

A row is written before its job and removed after it, so no tagged job is ever without its rows. A row that has no job,
or none that was created when the row says, is passed over by lists: a creation that died halfway leaves such rows.
"""

import re
from collections.abc import Iterator, Sequence

from leaseway.dynamodb.batches import delete_items, put_items
from leaseway.dynamodb.table import Item
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs.job import Job
from leaseway.jobs.table import created_key, owner_shard
from leaseway.settings import settings

MOST_TAGS = 10
TAG_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._:/@=+-]{0,63}$"

_tag = re.compile(TAG_PATTERN)


def checked(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags, each once, in the order of the alphabet.

    Raises:
        InvalidInputError: more than ten, or one that is no word of 1 to 64 letters, digits and `. _ : / @ = + -`.
    """
    if len(tags) > MOST_TAGS:
        raise InvalidInputError(f"a job has at most {MOST_TAGS} tags", field="tags")
    return tuple(sorted({checked_tag(tag, field="tags") for tag in tags}))


def checked_tag(tag: str, *, field: str = "tag") -> str:
    """The tag.

    Raises:
        InvalidInputError: it is none.
    """
    if not _tag.fullmatch(tag):
        raise InvalidInputError(
            "a tag is 1 to 64 letters, digits or . _ : / @ = + - and starts with a letter or a digit", field=field
        )
    return tag


def remember(jobs: Sequence[Job]) -> set[str]:
    """Write the rows of jobs that are about to be stored; returns the ids of those whose rows are not all there.

    One BatchWriteItem for 25 rows, one write unit a row; no call where no job has tags.
    """
    return {row["id"]["S"] for row in put_items("tags_table", [row for job in jobs for row in _rows(job)])}


def disown(jobs: Sequence[Job]) -> None:
    """Delete the rows of jobs that were not stored after all. What the table keeps, lists pass over."""
    delete_items("tags_table", [_key(job.owner, tag, job.created_at, job.id) for job in jobs for tag in job.tags])


def forget(image: Item) -> None:
    """Delete the rows of a job that is gone, given its last image. Again is harmless; one call, a write unit a row.

    Raises:
        UnavailableError: the table kept some of them, several times.
    """
    if "tags" not in image:
        return
    owner, job_id, created_at = image["owner"]["S"], image["id"]["S"], int(image["created_at"]["N"])
    if delete_items("tags_table", [_key(owner, tag, created_at, job_id) for tag in image["tags"]["SS"]]):
        raise UnavailableError("the table of tags did not take all that was to be deleted; try again")


def hashes(owner: str, tag: str) -> tuple[str, ...]:
    """The hash keys that an owner's jobs of a tag are under: a shard each, as in the owner's indexes."""
    return tuple(f"{owner}#{tag}#{shard}" for shard in range(settings().owner_shards))


def _rows(job: Job) -> Iterator[Item]:
    for tag in job.tags:
        yield {**_key(job.owner, tag, job.created_at, job.id), "id": {"S": job.id}}


def _key(owner: str, tag: str, created_at: int, job_id: str) -> Item:
    tag_key = f"{owner}#{tag}#{owner_shard(job_id)}"
    return {"tag_key": {"S": tag_key}, "created_key": {"S": created_key(created_at, job_id)}}
