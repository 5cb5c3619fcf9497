"""Retry a job that was cancelled: it keeps its id and gets new attempts. An outdated ETag changes nothing.

Prints:

    cancelled  CANCELLED after 0 of 3 attempts
    outdated   412 VERSION_MOVED
    again      CREATED, the same id: True
    ended      COMPLETED after 1 of 3 attempts
    no more    409 NOT_RETRYABLE
"""

import os
import time

import httpx

api = httpx.Client(
    base_url=os.environ["LEASEWAY_URL"],
    headers={"authorization": f"Bearer {os.environ['LEASEWAY_TOKEN']}"},
    timeout=35,
    trust_env=False,
)

# A job that waits for ten minutes, and is cancelled before it starts.
body = {"type": "SLEEP", "payload": {"duration_ms": 10}, "max_attempts": 3, "delay_seconds": 600}
created = api.post("/api/v1/jobs", json=body).raise_for_status()
path = f"/api/v1/jobs/{created.json()['id']}"
job = api.post(f"{path}/cancel").raise_for_status().json()
print("cancelled ", f"{job['status']} after {job['attempts']} of {job['max_attempts']} attempts")

# If-Match changes the job only if it has not changed since it was read. The cancellation has changed its ETag.
refused = api.post(f"{path}/retry", headers={"if-match": created.headers["etag"]})
print("outdated  ", refused.status_code, refused.json()["code"])

again = api.post(f"{path}/retry").raise_for_status().json()
print("again     ", f"{again['status']}, the same id: {again['id'] == job['id']}")

for _ in range(150):
    job = api.get(path).raise_for_status().json()
    if job["status"] == "COMPLETED":
        break
    time.sleep(0.2)
print("ended     ", f"{job['status']} after {job['attempts']} of {job['max_attempts']} attempts")

refused = api.post(f"{path}/retry")
print("no more   ", refused.status_code, refused.json()["code"])
