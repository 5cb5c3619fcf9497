"""Waiting for jobs to end, by polling less and less often."""

import time
from collections.abc import Callable, Sequence

from leaseway_local.answers import JobAnswer
from leaseway_local.commands.api_access import quote_segment
from leaseway_local.connection.api_client import ApiClient

LIVE = frozenset({"CREATED", "RUNNING"})

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


def wait_for(
    api: ApiClient,
    job_ids: Sequence[str],
    timeout: float,
    *,
    on_poll: Callable[[Sequence[JobAnswer]], None] = lambda left: None,
) -> list[JobAnswer]:
    """Return the jobs in the order of `job_ids`, each at its end, or as it is after `timeout` seconds.

    One request per poll and unfinished job; polls are 0.1 s apart at first and 1 s at last. `on_poll` receives
    the unfinished jobs.
    """
    ends = time.monotonic() + timeout
    pause = _FIRST_PAUSE_SECONDS
    seen: dict[str, JobAnswer] = {}
    while True:
        for job_id in job_ids:
            if job_id not in seen or seen[job_id]["status"] in LIVE:
                seen[job_id] = api.get(f"/api/v1/jobs/{quote_segment(job_id)}", JobAnswer)
        left = [job for job in seen.values() if job["status"] in LIVE]
        on_poll(left)
        if not left or time.monotonic() + pause > ends:
            return [seen[job_id] for job_id in job_ids]
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.3)
