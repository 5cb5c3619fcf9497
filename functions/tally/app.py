"""Handler of the tally function: the jobs table's stream calls it with up to 100 records of one shard.

The mapping must keep the stream's order and never give up: unlimited retries and age, ParallelizationFactor 1, and no
bisection. Bisecting a failed batch helps to isolate a record that cannot be processed; here there is none (what is not
a job is skipped), so a batch fails only because the table is busy, and its halves would cost twice the transactions.
For the same reason there are no partial failures: the handler raises, and the batch is delivered again.

An event filter may drop records that leave the status as it was (heartbeats, sweeps): they are skipped here anyway.
"""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.counters import count
    from leaseway.dynamodb.streams import lag_ms
    from leaseway.logs import log
    from leaseway.tally.changes import note_metrics, read_changes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("tally")
def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Count one batch; what an earlier delivery counted is skipped."""
    if (lag := lag_ms(event["Records"])) is not None:
        metrics.note("TallyLag", lag)
    report = count(read_changes(event["Records"]), note_metrics)
    log.info("counted", extra={"action": "tally", **msgspec.to_builtins(report)})
