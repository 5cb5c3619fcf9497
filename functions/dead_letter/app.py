"""Handler of the dead-letter function: the dead-letter queue's mapping calls it."""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    from leaseway import metrics
    from leaseway.jobs.upkeep.dead_letters import judge
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("dead-letter")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Judge each dead letter; one that could not be judged stays in the queue."""
    failed = [record["messageId"] for record in event["Records"] if not _try_to_judge(record)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _try_to_judge(record: dict[str, Any]) -> bool:
    facts = {"action": "judge", "message_id": record["messageId"]}
    try:
        verdict = judge(record["body"])
    except Exception:
        log.exception("dead letter not judged", extra=facts)
        return False
    log.warning("dead letter judged", extra={**facts, "verdict": verdict.value, "body": record["body"][:200]})
    return True
