"""Handler of the sweeper function: a schedule calls it every minute."""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.jobs.find.active import count_active_jobs
    from leaseway.jobs.upkeep.sweep import SweepReport, sweep
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("sweeper")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Sweep once; returns the report, for those who invoke it by hand."""
    done = sweep()
    report: dict[str, Any] = msgspec.to_builtins(done)
    log.info("swept", extra={"action": "sweep", **report})
    _note(done)
    return report


def _note(done: SweepReport) -> None:
    metrics.note("SweepFound", done.looked)
    metrics.note("SweepResent", done.resent)
    metrics.note("SweepCancelled", done.cancelled)
    metrics.note("SweepSetAside", done.set_aside)
    metrics.note("SweepFailed", done.failed + done.unread_shards)
    if not done.unread_shards:  # else the lag is unknown, and its silence is what the alarm watches
        metrics.note("SweepLag", done.lag_ms)
    _note_running_jobs()


def _note_running_jobs() -> None:
    """Count the running jobs for the metrics; a failure leaves them out and the sweep's report as it is."""
    try:
        active = count_active_jobs()
    except Exception:
        log.warning("running jobs were not counted", exc_info=True, extra={"action": "sweep"})
        return
    metrics.note("JobsRunning", active.total)
    for jobs in active.by_worker.values() or [0]:
        metrics.note("ActiveJobs", jobs)
