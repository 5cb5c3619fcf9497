"""Tags: words by which jobs are listed, one row each in a table of their own.

A row is written before its job and removed after it, so no tagged job is ever without its rows. A row that has no job,
or none that was created when the row says, is left out of lists: a creation that died halfway leaves such rows.
"""

from collections.abc import Iterator, Sequence

from leaseway.dynamodb.batches import delete_items, put_items
from leaseway.dynamodb.table import Item
from leaseway.errors import UnavailableError
from leaseway.jobs.job import Job
from leaseway.jobs.table import created_key, owner_shard
from leaseway.settings import settings


def insert_rows(jobs: Sequence[Job]) -> set[str]:
    """Write the rows of jobs that are about to be stored; returns the ids of those whose rows are not all there.

    One BatchWriteItem for 25 rows, one write unit a row; no call if no job has tags.
    """
    return {row["id"]["S"] for row in put_items("tags_table", [row for job in jobs for row in _build_rows(job)])}


def delete_rows(jobs: Sequence[Job]) -> None:
    """Delete the rows of jobs that were not stored after all. Lists leave out a row that the table does not delete."""
    delete_items("tags_table", [_build_key(job.owner, tag, job.created_at, job.id) for job in jobs for tag in job.tags])


def delete_rows_of_image(image: Item) -> None:
    """Delete the rows of a removed job, by its last image. Repeating it is harmless; one call, a write unit a row.

    Raises:
        UnavailableError: the table did not delete some of them in several tries.
    """
    if "tags" not in image:
        return
    owner, job_id, created_at = image["owner"]["S"], image["id"]["S"], int(image["created_at"]["N"])
    if delete_items("tags_table", [_build_key(owner, tag, created_at, job_id) for tag in image["tags"]["SS"]]):
        raise UnavailableError("the table of tags did not take all that was to be deleted; try again")


def hash_keys(owner: str, tag: str) -> tuple[str, ...]:
    """The hash keys that an owner's jobs of a tag are under: a shard each, as in the owner's indexes."""
    return tuple(f"{owner}#{tag}#{shard}" for shard in range(settings().owner_shards))


def _build_rows(job: Job) -> Iterator[Item]:
    for tag in job.tags:
        yield {**_build_key(job.owner, tag, job.created_at, job.id), "id": {"S": job.id}}


def _build_key(owner: str, tag: str, created_at: int, job_id: str) -> Item:
    tag_key = f"{owner}#{tag}#{owner_shard(job_id)}"
    return {"tag_key": {"S": tag_key}, "created_key": {"S": created_key(created_at, job_id)}}
