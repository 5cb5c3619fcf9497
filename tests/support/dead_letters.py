"""Dead letters for tests: jobs that the deployed dead-letter function gives up."""

import json
import secrets
import time
from typing import Any

from support.as_function import act_as_function
from support.seed_jobs import make_job_item, put_jobs
from support.waiting import wait_until

HOUR_MS = 3_600_000


def make_dead_letters(stack: Any, number: int) -> list[str]:
    """Move the messages of new jobs to the dead-letter queue; return the jobs' ids once they are FAILED.

    They are put into the table themselves, because a worker would claim a job that had a message of its own.
    """
    owner = f"dead-{secrets.token_hex(4)}"
    items = [
        make_job_item(
            one, owner=owner, status="CREATED", attempts=0, fence=0, version=1, look_at=compute_distant_look()
        )
        for one in range(number)
    ]
    with act_as_function(stack):
        put_jobs(items)
    ids = [item["id"]["S"] for item in items]
    for job_id in ids:
        body = json.dumps({"job_id": job_id, "ttl_ms": 60_000, "version": 1})
        stack.client("sqs").send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=body)
    for job_id in ids:
        wait_until(lambda job_id=job_id: _is_dead_lettered(stack, job_id), seconds=60, what=f"{job_id} given up")
    return ids


def compute_distant_look() -> int:
    """Return a `look_at` that no sweep of a test reaches, in ms since the epoch."""
    return int(time.time() * 1000) + HOUR_MS


def _is_dead_lettered(stack: Any, job_id: str) -> bool:
    return stack.api.get(f"/api/v1/jobs/{job_id}")["dead_lettered_at"] is not None
