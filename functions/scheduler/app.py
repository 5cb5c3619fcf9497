"""Handler of the scheduler function: a schedule calls it every minute, and any number of them may run at once."""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.logs import log
    from leaseway.tasks.tick import TickReport, tick

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("scheduler")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Settle what is due; returns the report, for those who invoke it by hand."""
    done = tick()
    report: dict[str, Any] = msgspec.to_builtins(done)
    log.info("ticked", extra={"action": "tick", **report})
    _note(done)
    return report


def _note(done: TickReport) -> None:
    metrics.note("TasksStarted", done.started)
    metrics.note("TasksSkipped", done.skipped)
    metrics.note("TasksMissed", done.missed)
    metrics.note("TasksSetAside", done.set_aside)
    metrics.note("TaskSkipStreak", done.skipped_in_row)
    metrics.note("TaskFailureStreak", done.failed_in_row)
    metrics.note("SchedulerLag", done.lag_ms)
