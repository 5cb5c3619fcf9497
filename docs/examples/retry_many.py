"""Cancel the jobs with a tag and then retry them all, first as a dry run, and in parts.

Prints:

    created    7 jobs that wait
    would be   7, and 0 were changed
    cancelled  3
    cancelled  3
    cancelled  1
    again      7, refused 0
    ended      7 COMPLETED
    attempts   1 of 3, under the same ids: True
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


def post(path: str, body: dict) -> dict:
    return api.post(path, json=body).raise_for_status().json()


tag = f"campaign-{uuid.uuid4().hex[:8]}"
new_job = {"type": "SLEEP", "payload": {"duration_ms": 10}, "max_attempts": 3, "delay_seconds": 600, "tags": [tag]}
batch = post("/api/v1/jobs/batch", {"jobs": [new_job] * 7})
ids = {item["job"]["id"] for item in batch["content"]}
print("created   ", len(ids), "jobs that wait")

dry = post("/api/v1/jobs/cancel", {"tag": tag, "dry_run": True})
print("would be  ", f"{dry['matched']}, and {dry['changed']} were changed")

# A request changes at most 100 jobs, here 3. The cursor leads to the next part, and is null at the end.
part: dict = {"cursor": None}
while True:
    cursor = {"cursor": part["cursor"]} if part["cursor"] else {}
    part = post("/api/v1/jobs/cancel", {"tag": tag, "limit": 3, **cursor})
    print("cancelled ", part["changed"])
    if part["cursor"] is None:
        break

# A job that changed after it was found is refused and listed in `content`. Here no other client interferes.
again = post("/api/v1/jobs/retry", {"tag": tag, "status": "CANCELLED"})
print("again     ", f"{again['changed']}, refused {again['refused']}")

for _ in range(300):
    jobs = api.get("/api/v1/jobs", params={"tag": tag, "size": 100}).raise_for_status().json()["content"]
    if all(job["status"] == "COMPLETED" for job in jobs):
        break
    time.sleep(0.2)
print("ended     ", sum(job["status"] == "COMPLETED" for job in jobs), "COMPLETED")
attempts = {f"{job['attempts']} of {job['max_attempts']}" for job in jobs}
print("attempts  ", ", ".join(attempts) + ", under the same ids:", {job["id"] for job in jobs} == ids)
