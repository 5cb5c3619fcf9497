"""Cancel a running job: it ends at once, and a later result is refused.

Prints:

    running    RUNNING
    cancelled  CANCELLED, cancelled by ...
    again      CANCELLED
    too late   409 ALREADY_ENDED
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


def create(duration_ms: int) -> str:
    body = {"type": "SLEEP", "payload": {"duration_ms": duration_ms}}
    return api.post("/api/v1/jobs", json=body).raise_for_status().json()["id"]


def wait_for_status(job_id: str, status: str) -> str:
    """Wait up to 30 seconds for the status; return the job's last one."""
    for _ in range(150):
        current = api.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()["status"]
        if current == status:
            break
        time.sleep(0.2)
    return current


job_id = create(50_000)
print("running   ", wait_for_status(job_id, "RUNNING"))

cancelled = api.post(f"/api/v1/jobs/{job_id}/cancel").raise_for_status().json()
print("cancelled ", f"{cancelled['status']}, {cancelled['error_message']}")

# Cancelling a job twice is not an error: the job is returned unchanged.
print("again     ", api.post(f"/api/v1/jobs/{job_id}/cancel").raise_for_status().json()["status"])

# A job that has ended in another way cannot be cancelled.
done = create(1)
wait_for_status(done, "COMPLETED")
refused = api.post(f"/api/v1/jobs/{done}/cancel")
print("too late  ", refused.status_code, refused.json()["code"])
