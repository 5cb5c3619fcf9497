"""Create many jobs in one request. A refused job does not affect the others, and a repeat creates none twice.

Prints:

    accepted  99
    refused   1
    index 42  UNKNOWN_JOB_TYPE
    repeated  the same answer
    ended     {'COMPLETED': 99}
"""

import os
import time
import uuid
from collections import Counter

import httpx

api = httpx.Client(
    base_url=os.environ["LEASEWAY_URL"],
    headers={"authorization": f"Bearer {os.environ['LEASEWAY_TOKEN']}"},
    timeout=35,
    trust_env=False,
)

jobs = [{"type": "GENERATE_NUMBER", "payload": {"digits": 6}} for _ in range(100)]
jobs[42]["type"] = "NO_SUCH_TYPE"
key = {"idempotency-key": str(uuid.uuid4())}
answer = api.post("/api/v1/jobs/batch", json={"jobs": jobs}, headers=key).raise_for_status().json()
print("accepted ", answer["accepted"])
print("refused  ", answer["refused"])
for item in answer["content"]:
    if item["problem"]:
        print(f"index {item['index']} ", item["problem"]["code"])

again = api.post("/api/v1/jobs/batch", json={"jobs": jobs}, headers=key).raise_for_status().json()
print("repeated ", "the same answer" if again == answer else again)

# From here on, each is a separate job.
left = {item["job"]["id"] for item in answer["content"] if item["job"]}
ended: Counter[str] = Counter()
for _ in range(150):
    for job_id in sorted(left):
        status = api.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()["status"]
        if status not in ("CREATED", "RUNNING"):
            ended[status] += 1
            left.discard(job_id)
    if not left:
        break
    time.sleep(0.2)
print("ended    ", dict(ended))
