"""Thousands of jobs with one `run_at`, in a system that has nothing else to do."""

from collections.abc import Callable
from functools import partial
from unittest.mock import patch

from benchmarks.volume import simulated_region
from benchmarks.volume.row import Outcome, Row
from benchmarks.volume.simulated_region import MINUTE_MS, START_MS, SimulatedPool, SimulatedRegion
from benchmarks.volume.sweep_at_883dc55 import OldSweep
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings

JOBS = 20_000
TURN_MS = START_MS + 20 * MINUTE_MS
GIVEN_UP_AFTER = 120
"""Minutes."""

TARGET_SECONDS = 60


def _simulate(run_sweep: Callable[[SimulatedRegion], object], scale: float) -> Outcome:
    """Sweep every minute until each job has a message; how late the last one's was."""
    region, jobs = SimulatedRegion(), round(JOBS * scale)
    with region.replaces_cloud(scale):
        for number in range(jobs):
            region.create_job(f"delayed-{number}", START_MS, TURN_MS)
        for minute in range(GIVEN_UP_AFTER):
            region.seconds = max(region.seconds, (START_MS + minute * MINUTE_MS) / 1000)
            region.remove_started_jobs()
            run_sweep(region)
            if len(region.visible_at) == jobs:
                return _outcome(max(region.visible_at.values()))
    return Outcome(float("inf"), "never")


def _outcome(visible_at: int) -> Outcome:
    late = max(0, visible_at - TURN_MS) / 1000
    return Outcome(late, f"{late:.0f} s late" if late < 120 else f"{late / 60:.1f} min late")


def _before(scale: float) -> Outcome:
    # Every live job stood in one kind of shards.
    with patch.object(simulated_region, "precedes_message", lambda *_: False):
        return _simulate(lambda region: OldSweep(region, scale).run(), scale)


def _sweep_now(region: SimulatedRegion) -> None:
    sweep(SimulatedPool(region, settings().sweep_threads))


ROW = Row(
    number=2,
    what="20,000 jobs with one `run_at` in an idle system",
    target="at most 60 s late",
    is_reached=lambda late: late <= TARGET_SECONDS,
    before=_before,
    now=partial(_simulate, _sweep_now),
)
