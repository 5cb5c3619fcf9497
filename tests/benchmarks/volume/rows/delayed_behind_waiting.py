"""Delayed jobs in every shard behind thousands of jobs that wait, with as many that come and go each minute."""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from unittest.mock import patch

from benchmarks.volume import simulated_region
from benchmarks.volume.row import Outcome, Row
from benchmarks.volume.simulated_region import MINUTE_MS, SHARDS, START_MS, SimulatedPool, SimulatedRegion
from benchmarks.volume.sweep_at_883dc55 import OldSweep
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings

WAITING = 10_000
A_MINUTE = 1_200
TURN_MS = START_MS + 20 * MINUTE_MS
GIVEN_UP_AFTER = 60
"""Minutes after which a job counts as never sent."""

TARGET_SECONDS = 60


class _Backlog:
    """Jobs that wait with a message each; the oldest leave as the newest come."""

    def __init__(self, region: SimulatedRegion, scale: float) -> None:
        self._region = region
        self._numbers = count()
        self._jobs: deque[str] = deque()
        self._a_minute = round(A_MINUTE * scale)
        self._apart = MINUTE_MS / self._a_minute
        waiting = round(WAITING * scale)
        self._add(waiting, START_MS - round(waiting * self._apart))

    def pass_minute(self, begins: int) -> None:
        """Let the jobs of a minute come, and as many end."""
        self._add(self._a_minute, begins)
        for _ in range(self._a_minute):
            self._region.remove_job(self._jobs.popleft())

    def _add(self, jobs: int, begins: int) -> None:
        for number in range(jobs):
            self._jobs.append(f"waiting-{next(self._numbers)}")
            self._region.create_job(self._jobs[-1], begins + round(number * self._apart))
        self._region.depth = len(self._jobs)


def _simulate(run_sweep: Callable[[SimulatedRegion], object], scale: float) -> Outcome:
    """Sweep every minute until each shard's delayed job has a message; how late the last one's was."""
    region = SimulatedRegion()
    with region.replaces_cloud(scale):
        delayed = [simulated_region.job_id_in_shard(shard, "delayed") for shard in range(SHARDS)]
        for job_id in delayed:
            region.create_job(job_id, START_MS, TURN_MS)
        backlog = _Backlog(region, scale)
        for minute in range(GIVEN_UP_AFTER):
            begins = START_MS + minute * MINUTE_MS
            backlog.pass_minute(begins)
            region.seconds = max(region.seconds, (begins + MINUTE_MS) / 1000)
            run_sweep(region)
            region.remove_started_jobs()
            if all(job_id in region.visible_at for job_id in delayed):
                return _outcome(max(region.visible_at[job_id] for job_id in delayed))
    return Outcome(float("inf"), "never")


def _outcome(visible_at: int) -> Outcome:
    late = max(0, visible_at - TURN_MS) / 1000
    return Outcome(late, f"{late:.0f} s late")


def _before(scale: float) -> Outcome:
    # Every live job stood in one kind of shards.
    with patch.object(simulated_region, "precedes_message", lambda *_: False):
        return _simulate(lambda region: OldSweep(region, scale).run(), scale)


def _sweep_now(region: SimulatedRegion) -> None:
    sweep(SimulatedPool(region, settings().sweep_threads))


ROW = Row(
    number=1,
    what="delayed job in the worst shard behind 10,000 waiting, 1,200 a minute in and out",
    target="within one minute of its time",
    is_reached=lambda late: late <= TARGET_SECONDS,
    before=_before,
    now=partial(_simulate, _sweep_now),
)
