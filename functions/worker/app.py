"""Handler of the worker function: the jobs queue hands it up to ten messages, the tasks queue one."""

from leaseway import coldstart

with coldstart.loading():
    from typing import Any

    from leaseway import metrics
    from leaseway.jobs import queue
    from leaseway.logs import log
    from leaseway.settings import settings
    from worker.batch import Batch, Received


@metrics.flush_after("worker")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch; answers which messages stay in the queue (`ReportBatchItemFailures`)."""
    received, malformed = _parse(event["Records"])
    source = queue.Queue.behind(event["Records"][0].get("eventSourceARN", ""))
    # A message that is no job's is shown again soon, so that it reaches the dead-letter queue within minutes.
    queue.hide([queue.Hiding(record["receiptHandle"], settings().lease_seconds) for record in malformed], source)
    batch = Batch(context.log_stream_name, context.get_remaining_time_in_millis, source)
    failed = [*batch.process(received), *(record["messageId"] for record in malformed)]
    log.info("batch done", extra={"action": "batch", "received": len(event["Records"]), "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _parse(records: list[dict[str, Any]]) -> tuple[list[Received], list[dict[str, Any]]]:
    received: list[Received] = []
    malformed: list[dict[str, Any]] = []
    for record in records:
        try:
            received.append(Received(record["messageId"], record["receiptHandle"], queue.parse(record["body"])))
        except queue.MalformedMessageError:
            log.error("not a job's message", extra={"action": "parse", "message_id": record["messageId"]})
            malformed.append(record)
    return received, malformed
