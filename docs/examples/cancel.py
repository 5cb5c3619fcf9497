"""Cancel a job that runs: it ends at once, and a result that still comes is refused.

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


def reaches(job_id: str, status: str) -> str:
    """The job's status when it is the one waited for, or when half a minute is over."""
    for _ in range(150):
        found = api.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()["status"]
        if found == status:
            break
        time.sleep(0.2)
    return found


job_id = create(50_000)
print("running   ", reaches(job_id, "RUNNING"))

cancelled = api.post(f"/api/v1/jobs/{job_id}/cancel").raise_for_status().json()
print("cancelled ", f"{cancelled['status']}, {cancelled['error_message']}")

# To cancel twice is no mistake: the job is answered as it is.
print("again     ", api.post(f"/api/v1/jobs/{job_id}/cancel").raise_for_status().json()["status"])

# What has ended otherwise has nothing left to cancel.
done = create(1)
reaches(done, "COMPLETED")
refused = api.post(f"/api/v1/jobs/{done}/cancel")
print("too late  ", refused.status_code, refused.json()["code"])
