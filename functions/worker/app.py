"""Handler of the worker function: a shared queue delivers up to ten messages at a time, any other one."""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    from leaseway import metrics
    from leaseway.jobs import queue
    from leaseway.jobs.queue_names import Queue
    from leaseway.logs import log
    from worker.batch import Batch
    from worker.delivery import parse_deliveries

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@metrics.flush_after("worker")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Process a batch; returns the messages that stay in the queue (`ReportBatchItemFailures`)."""
    records = event["Records"]
    source = Queue.from_arn(records[0].get("eventSourceARN", ""))
    messages = [queue.Received(record["messageId"], record["receiptHandle"], record["body"]) for record in records]
    deliveries = parse_deliveries(messages, source)
    settled = Batch(context.log_stream_name, context.get_remaining_time_in_millis, source).process(deliveries)
    failed = [message.message_id for message in messages if message.receipt not in settled]
    log.info("batch done", extra={"action": "batch", "received": len(messages), "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
