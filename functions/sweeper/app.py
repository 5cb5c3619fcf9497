"""Handler of the sweeper function: a schedule calls it every minute."""

from leaseway import coldstart

# isort: split
from typing import Any

import msgspec

from leaseway import metrics
from leaseway.jobs.find.active import active_by_worker
from leaseway.jobs.upkeep.sweep import SweepReport, sweep
from leaseway.logs import log


@metrics.flush_after("sweeper")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweep once; answers the report, so that whoever invokes it by hand sees what was done."""
    done = sweep()
    report: dict[str, Any] = msgspec.to_builtins(done)
    log.info("swept", extra={"action": "sweep", **report})
    _note(done)
    return report


def _note(done: SweepReport) -> None:
    metrics.note("SweepFound", done.looked)
    metrics.note("SweepResent", done.resent)
    metrics.note("SweepCancelled", done.cancelled)
    metrics.note("SweepLag", done.lag_ms)
    active = active_by_worker()
    metrics.note("JobsRunning", active.total())
    for jobs in active.values() or [0]:
        metrics.note("ActiveJobs", jobs)


coldstart.loaded()
