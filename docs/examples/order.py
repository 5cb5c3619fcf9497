"""Order: jobs with the same key run one at a time, in the order of creation, and a retry keeps its place.

Prints:

    0  COMPLETED  after 1 attempt
    1  FAILED     after 2 attempts
    2  COMPLETED  after 1 attempt
    3  COMPLETED  after 1 attempt
    each ended before the next began: True
    with a priority: 400 order_key
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
KEY = f"account-{time.time_ns()}"
SLEEP = {"type": "SLEEP", "payload": {"duration_ms": 200}}
# No server has this name, so each attempt fails, and the jobs behind it wait until the last one.
FAILS = {
    "type": "IMAGE_RESIZE",
    "payload": {"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1},
    "max_attempts": 2,
}

created = [
    api.post("/api/v1/jobs", json=body | {"order_key": KEY}).raise_for_status().json()
    for body in (SLEEP, FAILS, SLEEP, SLEEP)
]

ended = []
for number, new in enumerate(created):
    for _ in range(300):
        job = api.get(f"/api/v1/jobs/{new['id']}").raise_for_status().json()
        if job["status"] not in ("CREATED", "RUNNING"):
            break
        time.sleep(0.1)
    ended.append(job)
    print(f"{number}  {job['status']:9}  after {job['attempts']} attempt{'s' if job['attempts'] > 1 else ''}")

# A job's history begins with its first attempt. If there was only one attempt, its start is `started_at`.
began = [(job["history"] or [job])[0]["started_at"] for job in ended]
in_turn = all(before["finished_at"] <= begins for before, begins in zip(ended, began[1:], strict=False))
print("each ended before the next began:", in_turn)

refused = api.post("/api/v1/jobs", json=SLEEP | {"order_key": KEY, "priority": "high"})
print("with a priority:", refused.status_code, refused.json()["field"])
