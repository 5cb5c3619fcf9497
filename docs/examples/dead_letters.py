"""Replay dead letters: jobs whose messages were delivered twenty times, and that no worker could process.

For Admins. This deployment has three of them.

Prints:

    listed    FAILED, dead letter: its message was received again and again, and no worker claimed the job
    one       CREATED, the same id: True
    all       ... replayed, 0 left
    ended     COMPLETED
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

# The most recent comes first.
job = api.get("/api/v1/dead-letters", params={"size": 1}).raise_for_status().json()["content"][0]
print("listed   ", f"{job['status']}, {job['error_message']}")

again = api.post(f"/api/v1/dead-letters/{job['id']}/replay").raise_for_status().json()
print("one      ", f"{again['status']}, the same id: {again['id'] == job['id']}")

# Up to 100 per call. The server limits the rate at which they start, however quickly it is called.
replayed = 0
while True:
    done = api.post("/api/v1/dead-letters/replay", json={"limit": 100}).raise_for_status().json()
    replayed += done["replayed"]
    if not done["left"] or not done["replayed"]:
        break
print("all      ", f"{replayed} replayed, {done['left']} left")

for _ in range(150):
    status = api.get(f"/api/v1/jobs/{job['id']}").raise_for_status().json()["status"]
    if status == "COMPLETED":
        break
    time.sleep(0.2)
print("ended    ", status)
