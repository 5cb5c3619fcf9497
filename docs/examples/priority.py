"""Priority: each has separate workers, so a high job does not wait for the low ones before it.

Prints:

    low       CREATED in the queue low
    high      CREATED in the queue high
    normal    CREATED in the queue normal
    urgent    400 priority
    high ended while low ones waited: True
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


def sleep(duration_ms: int, **options: object) -> dict[str, object]:
    return {"type": "SLEEP", "payload": {"duration_ms": duration_ms}, **options}


# More than the low workers can run at once, so most of these jobs have to wait.
TAG = f"flood-{time.time_ns()}"
low = [sleep(5_000, priority="low", tags=[TAG]) for _ in range(100)]
batch = api.post("/api/v1/jobs/batch", json={"jobs": low}).raise_for_status().json()
first = batch["content"][0]["job"]
print("low      ", first["status"], "in the queue", first["queue"])

high = api.post("/api/v1/jobs", json=sleep(10, priority="high")).raise_for_status().json()
print("high     ", high["status"], "in the queue", high["queue"])
normal = api.post("/api/v1/jobs", json=sleep(10)).raise_for_status().json()
print("normal   ", normal["status"], "in the queue", normal["queue"])
refused = api.post("/api/v1/jobs", json=sleep(10, priority="urgent"))
print("urgent   ", refused.status_code, refused.json()["field"])

for _ in range(300):
    high = api.get(f"/api/v1/jobs/{high['id']}").raise_for_status().json()
    if high["status"] == "COMPLETED":
        break
    time.sleep(0.1)
last = api.get(f"/api/v1/jobs/{batch['content'][-1]['job']['id']}").raise_for_status().json()
print("high ended while low ones waited:", high["status"] == "COMPLETED" and last["status"] == "CREATED")
api.post("/api/v1/jobs/cancel", json={"tag": TAG}).raise_for_status()
