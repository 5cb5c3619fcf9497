"""Handler of the scheduler function: a schedule calls it every minute, and any number of them may run at once."""

from leaseway import coldstart

# isort: split
from typing import Any

import msgspec

from leaseway import metrics
from leaseway.logs import log
from leaseway.tasks.tick import TickReport, tick


@metrics.flush_after("scheduler")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Settle what is due; answers the report, so that whoever invokes it by hand sees what was done."""
    done = tick()
    report: dict[str, Any] = msgspec.to_builtins(done)
    log.info("ticked", extra={"action": "tick", **report})
    _note(done)
    return report


def _note(done: TickReport) -> None:
    metrics.note("TasksStarted", done.started)
    metrics.note("TasksSkipped", done.skipped)
    metrics.note("TasksMissed", done.missed)
    metrics.note("SchedulerLag", done.lag_ms)


coldstart.loaded()
