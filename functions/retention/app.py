"""Handler of the retention function: the jobs table's stream calls it with records of removed jobs.

A job whose objects could not be deleted makes the handler raise, and the batch comes again; there are no partial
failures to report, because what was deleted costs only a look. A record that still fails after hours is left to the
bucket's lifecycle rule, so that it does not block the removals behind it.
"""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.jobs.upkeep.retention import clear, lag_ms
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("retention")
def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Delete what the removed jobs of one batch left."""
    metrics.note("RetentionLag", lag_ms(event["Records"]))
    report = clear(event["Records"])
    log.info("cleared", extra={"action": "retention", **msgspec.to_builtins(report)})
