"""Active jobs: how many jobs each worker runs now."""

from collections import Counter

import msgspec

from leaseway.dynamodb.batches import read_items
from leaseway.dynamodb.index_walk import Walk
from leaseway.jobs.find.selection import index_of_live
from leaseway.jobs.find.totals import count_jobs
from leaseway.jobs.job import JobStatus
from leaseway.jobs.table import timed_keys, waiting_keys
from leaseway.settings import settings


class ActiveJobs(msgspec.Struct, frozen=True):
    """RUNNING jobs by worker, and those behind a backlog, whose workers were not read."""

    by_worker: Counter[str]
    unread: int = 0

    @property
    def total(self) -> int:
        """All RUNNING jobs."""
        return self.by_worker.total() + self.unread


def count_active_jobs() -> ActiveJobs:
    """Count the RUNNING jobs by the worker that holds them, from the live index: a new worker appears by itself.

    One Query a shard, and half a read unit for each of the first `LIST_KEY_BUDGET` live jobs. Those that run for
    minutes or outside Lambda are read first, so that no backlog hides them. If there are more jobs, most of them
    waiting, the rest of the RUNNING jobs is taken from the totals, which are a second behind: one Query more.

    Raises:
        UnavailableError: DynamoDB returned only some of the jobs.
    """
    budget = settings().list_key_budget
    timed = Walk(index_of_live(timed_keys()), None, budget)
    keys = timed.take(budget)
    waiting = Walk(index_of_live(waiting_keys()), None, budget - len(keys))
    keys += waiting.take(budget - len(keys))
    items = read_items("jobs_table", [key.id for key in keys])
    by_worker = Counter(
        item["worker"]["S"] for item in items if item["status"]["S"] == JobStatus.RUNNING and "worker" in item
    )
    running = 0 if timed.ended and waiting.ended else count_jobs(status=JobStatus.RUNNING.value)
    return ActiveJobs(by_worker, max(0, running - by_worker.total()))
