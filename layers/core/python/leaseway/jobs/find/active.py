"""Active jobs: which worker has how many in work now."""

from collections import Counter

from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.index_walk import Walk
from leaseway.jobs.find.selection import live_index
from leaseway.jobs.job import JobStatus
from leaseway.settings import settings


def active_by_worker() -> Counter[str]:
    """RUNNING jobs by the worker that holds them, from the live index: a worker that is new appears by itself.

    One Query a shard, and half a read unit for each of the first `LIST_KEY_BUDGET` live jobs: where more wait, some
    that run may be left out. Behind the table by milliseconds.
    """
    budget = settings().list_key_budget
    keys = Walk(live_index(), None, budget).take(budget)
    items = read_items("jobs_table", [key.id for key in keys])
    return Counter(
        item["worker"]["S"] for item in items if item["status"]["S"] == JobStatus.RUNNING and "worker" in item
    )
