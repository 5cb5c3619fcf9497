"""Watch the progress of a job, and find it by its tags.

Prints:

    created    tags import-..., nightly
    running    ...% segment ... of 20
    ended      COMPLETED at 100% segment 20 of 20
    found      1 of import-..., the same job: True
    attempts   1: COMPLETED
"""

import os
import time
import uuid

import httpx

api = httpx.Client(
    base_url=os.environ["LEASEWAY_URL"],
    headers={"authorization": f"Bearer {os.environ['LEASEWAY_TOKEN']}"},
    timeout=35,
    trust_env=False,
)

# You choose the tags; this one names an import, and every job of that import would have it.
batch = f"import-{uuid.uuid4().hex[:8]}"
body = {"type": "PRIME_COUNT", "payload": {"below": 1_000_000, "duration_ms": 4_000}, "tags": [batch, "nightly"]}
job = api.post("/api/v1/jobs", json=body).raise_for_status().json()
print("created   ", "tags", ", ".join(job["tags"]))


def describe_progress(job: dict) -> str:
    return f"{job['progress']:.0%} {job['progress_note']}"


# The executor can report progress as often as it likes; the latest report is stored once a second.
first_report = None
for _ in range(300):
    job = api.get(f"/api/v1/jobs/{job['id']}").raise_for_status().json()
    if job["status"] not in ("CREATED", "RUNNING"):
        break
    if job["progress"] is not None and first_report is None:
        first_report = describe_progress(job)
        print("running   ", first_report)
    time.sleep(0.2)
print("ended     ", job["status"], "at", describe_progress(job))

listed = api.get("/api/v1/jobs", params={"tag": batch}).raise_for_status().json()
same = listed["content"][0]["id"] == job["id"]
print("found     ", f"{listed['totalElements']} of {batch}, the same job: {same}")

# Each attempt has its worker, times and error. Here there is one attempt, without an error.
print("attempts  ", ", ".join(f"{attempt['number']}: {attempt['end']}" for attempt in job["history"]))
