"""Dead letters for tests: jobs that the deployed dead-letter function gives up."""

import json
import secrets
import time
from typing import Any

from support.as_function import inside
from support.seed_jobs import job_item, put_jobs
from support.waiting import until

HOUR_MS = 3_600_000


def make_dead_letters(stack: Any, number: int) -> list[str]:
    """Jobs whose messages are found in the dead-letter queue while they wait; returns their ids once they are FAILED.

    They are put into the table themselves, because a worker would claim a job that had a message of its own.
    """
    owner = f"dead-{secrets.token_hex(4)}"
    items = [
        job_item(one, owner=owner, status="CREATED", attempts=0, fence=0, version=1, look_at=far_ahead())
        for one in range(number)
    ]
    with inside(stack):
        put_jobs(items)
    ids = [item["id"]["S"] for item in items]
    for job_id in ids:
        body = json.dumps({"job_id": job_id, "ttl_ms": 60_000, "version": 1})
        stack.client("sqs").send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=body)
    for job_id in ids:
        until(lambda job_id=job_id: _given_up(stack, job_id), seconds=60, what=f"{job_id} given up")
    return ids


def far_ahead() -> int:
    """A look that no sweep of a test reaches, in ms since the epoch."""
    return int(time.time() * 1000) + HOUR_MS


def _given_up(stack: Any, job_id: str) -> bool:
    return stack.api.get(f"/api/v1/jobs/{job_id}")["dead_lettered_at"] is not None
