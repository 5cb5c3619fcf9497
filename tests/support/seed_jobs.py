"""Jobs put straight into the table: lists need many, and none of them has to run."""

import hashlib
from collections.abc import Sequence
from typing import Any

from leaseway import aws
from leaseway.jobs import table as model
from leaseway.jobs.job import JobStatus
from leaseway.jobs.table import JobModel
from leaseway.settings import require_setting

EPOCH_MS = 1_700_000_000_000


def make_job_item(
    number: int, owner: str = "alice", status: str = "COMPLETED", type_name: str = "SLEEP", **more: Any
) -> Any:
    """Make the item of job `number`, created that many milliseconds after EPOCH_MS. Ids are spread like random ones."""
    job_id = hashlib.md5(f"{owner}/{number}".encode()).hexdigest()
    job_status, created = JobStatus(status), EPOCH_MS + number
    keys = {"owner_key": model.owner_key(owner, job_id), "created_key": model.created_key(created, job_id)}
    if job_status.is_terminal:
        keys["owner_outcome_key"] = model.owner_outcome_key(owner, job_status, job_id)
        keys["outcome_key"] = model.outcome_key(job_status, job_id)
    else:
        keys |= {"live_key": model.live_key(job_id), "look_at": created + 120_000}
    numbers = {"ttl_ms": 60_000, "attempts": 1, "crashes": 0, "max_attempts": 3, "fence": 1, "version": 3}
    times = {"created_at": created, "updated_at": created}
    facts = {"type": type_name, "owner": owner, "status": status, "payload": '{"duration_ms":1}'}
    return JobModel(id=job_id, **{**facts, **numbers, **times, **keys, **more}).serialize()


def put_jobs(items: Sequence[Any]) -> None:
    """Write the items, 25 a call, until none is left."""
    table = require_setting("jobs_table")
    left = [{"PutRequest": {"Item": item}} for item in items]
    while left:
        answer = aws.client("dynamodb").batch_write_item(RequestItems={table: left[:25]})
        left = answer["UnprocessedItems"].get(table, []) + left[25:]
