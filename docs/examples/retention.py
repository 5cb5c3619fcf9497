"""Set how long a finished job is kept. After that, it is removed together with its objects in the bucket.

Prints:

    created   CREATED, expires None
    ended     COMPLETED, expires 7 days after its end
    default   COMPLETED, expires ... days after its end
    too soon  400 retention_days
"""

import os
import time
from datetime import datetime

import httpx

api = httpx.Client(
    base_url=os.environ["LEASEWAY_URL"],
    headers={"authorization": f"Bearer {os.environ['LEASEWAY_TOKEN']}"},
    timeout=35,
    trust_env=False,
)
JOB = {"type": "GENERATE_LOGIN", "payload": {"length": 12}}


def wait_for_end(job_id: str) -> str:
    for _ in range(150):
        job = api.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
        if job["status"] == "COMPLETED":
            break
        time.sleep(0.2)
    retention = datetime.fromisoformat(job["expires_at"]) - datetime.fromisoformat(job["finished_at"])
    return f"{job['status']}, expires {retention.days} days after its end"


week = api.post("/api/v1/jobs", json=JOB | {"retention_days": 7}).raise_for_status().json()
print("created  ", f"{week['status']}, expires {week['expires_at']}")
print("ended    ", wait_for_end(week["id"]))

# Without retention_days, a job is kept for the deployment's RETENTION_DAYS.
print("default  ", wait_for_end(api.post("/api/v1/jobs", json=JOB).raise_for_status().json()["id"]))

refused = api.post("/api/v1/jobs", json=JOB | {"retention_days": 0})
print("too soon ", refused.status_code, refused.json()["field"])
