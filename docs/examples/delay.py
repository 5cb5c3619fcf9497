"""Delay a job by a number of seconds, or until a given time, without occupying a worker.

Prints:

    in seconds   CREATED, not before its time
    at a moment  CREATED, not before its time
    in a year    CREATED, not before its time
    too far      400 delay_seconds
    ended        COMPLETED, started in time: True
    ended        COMPLETED, started in time: True
"""

import os
import time
from datetime import UTC, datetime, timedelta

import httpx

api = httpx.Client(
    base_url=os.environ["LEASEWAY_URL"],
    headers={"authorization": f"Bearer {os.environ['LEASEWAY_TOKEN']}"},
    timeout=35,
    trust_env=False,
)
SLEEP = {"type": "SLEEP", "payload": {"duration_ms": 1}}


def create_delayed(what: str, **when: object) -> str:
    job = api.post("/api/v1/jobs", json=SLEEP | when).raise_for_status().json()
    print(f"{what:12}", job["status"] + (", not before its time" if job["run_after"] > job["created_at"] else ""))
    return job["id"]


in_seconds = create_delayed("in seconds", delay_seconds=2)
at_a_moment = create_delayed("at a moment", run_at=(datetime.now(UTC) + timedelta(seconds=3)).isoformat())
# SQS can delay a message for 15 minutes. For longer delays, the sweeper sends the message when the job is due.
in_a_year = create_delayed("in a year", delay_seconds=365 * 86_400)
api.post(f"/api/v1/jobs/{in_a_year}/cancel").raise_for_status()

refused = api.post("/api/v1/jobs", json=SLEEP | {"delay_seconds": 367 * 86_400})
print("too far     ", refused.status_code, refused.json()["field"])

for job_id in (in_seconds, at_a_moment):
    for _ in range(150):
        job = api.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
        if job["status"] == "COMPLETED":
            break
        time.sleep(0.2)
    waited = datetime.fromisoformat(job["started_at"]) - datetime.fromisoformat(job["created_at"])
    print("ended       ", f"{job['status']}, started in time: {waited >= timedelta(seconds=1.9)}")
