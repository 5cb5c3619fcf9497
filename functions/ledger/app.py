"""Handler of the ledger function: the accounts table's stream calls it with records of one shard.

The mapping must never give up: unlimited retries and age, and bisection, which isolates a record that cannot be
written. That record blocks its shard until an operator has looked at it; the alarm on the iterator's age calls one.
There are no partial failures: they would let the records behind a missing entry pass.
"""

from leaseway import coldstart

with coldstart.loading():
    from concurrent.futures import ThreadPoolExecutor
    from functools import lru_cache
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.dynamodb.streams import lag_ms
    from leaseway.ledger.stream import LedgerMismatchError, record_changes
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("ledger")
def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Write the entries of one batch; what an earlier delivery wrote is left as it is."""
    if (lag := lag_ms(event["Records"])) is not None:
        metrics.note("LedgerLag", lag)
    try:
        report = record_changes(event["Records"], _pool().map)
    except LedgerMismatchError as mismatch:
        _report_mismatch(mismatch)
        raise
    metrics.note("LedgerEntries", report.written)
    log.info("recorded", extra={"action": "ledger", **msgspec.to_builtins(report)})


def _report_mismatch(mismatch: LedgerMismatchError) -> None:
    log.error("ledger mismatch", extra={"action": "ledger", "problem": str(mismatch)})
    metrics.note("LedgerMismatches")


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    # A put waits on the network; eight at a time write a batch of 100 in the time of thirteen.
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="entry")
