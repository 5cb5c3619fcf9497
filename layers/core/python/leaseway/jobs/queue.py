"""The jobs queue: messages that stand for jobs. A message's visibility timeout is its job's lease."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import aws
from leaseway.logs import log
from leaseway.settings import needed

LONGEST_DELAY_SECONDS = 900
"""SQS's limit for `DelaySeconds`; a job due later is sent by the sweeper."""

LONGEST_HIDING_SECONDS = 43_200
"""SQS's limit for a visibility timeout."""

BATCH = 10
"""SQS's limit for entries in one call."""

Entry = TypeVar("Entry")


class JobMessage(msgspec.Struct, frozen=True):
    """The body of a message. The time to live lets a worker judge whether it has time before it claims."""

    job_id: str
    ttl_ms: int


class MalformedMessageError(Exception):
    """The body of a message is not a job's."""


class Outgoing(NamedTuple):
    """A message to send, visible after `delay_seconds` (0 to 900)."""

    message: JobMessage
    delay_seconds: int = 0


class Hiding(NamedTuple):
    """A received message to keep invisible for so many seconds from now; 0 gives it back at once."""

    receipt: str
    seconds: int


def parse(body: str) -> JobMessage:
    """The message in a body.

    Raises:
        MalformedMessageError: it is no job's message.
    """
    try:
        return msgspec.json.decode(body, type=JobMessage)
    except msgspec.DecodeError as problem:
        raise MalformedMessageError(str(problem)) from problem


def send(outgoing: Sequence[Outgoing]) -> int:
    """Send messages, one call for ten; returns how many SQS took. A failure is logged, never raised.

    A job whose message is lost stays CREATED and is sent again by the sweeper, so no caller has to handle it.
    """
    return sum(_send_batch(batch) for batch in _in_batches(outgoing))


def _send_batch(batch: Sequence[Outgoing]) -> int:
    entries = [
        {
            "Id": str(position),
            "MessageBody": msgspec.json.encode(outgoing.message).decode(),
            "DelaySeconds": outgoing.delay_seconds,
        }
        for position, outgoing in enumerate(batch)
    ]
    try:
        answer = aws.client("sqs").send_message_batch(QueueUrl=needed("jobs_queue_url"), Entries=entries)
    except (BotoCoreError, ClientError) as failure:
        log.warning("messages not sent; the sweeper will", extra={"action": "send", "error": str(failure)})
        return 0
    for failed in answer.get("Failed", []):
        log.warning("message not sent; the sweeper will", extra={"action": "send", "error": failed.get("Message")})
    return len(answer.get("Successful", []))


def hide(hidings: Sequence[Hiding]) -> None:
    """Set the visibility timeout of received messages, one call for ten.

    What SQS refuses (a receipt too old, a message deleted meanwhile) is logged, not raised: the message keeps the
    timeout it had, and the fence, not the queue, keeps a job from being finished twice.
    """
    for batch in _in_batches(hidings):
        entries = [
            {
                "Id": str(position),
                "ReceiptHandle": hiding.receipt,
                "VisibilityTimeout": max(0, min(hiding.seconds, LONGEST_HIDING_SECONDS)),
            }
            for position, hiding in enumerate(batch)
        ]
        _call("change_message_visibility_batch", entries)


def delete(receipts: Sequence[str]) -> None:
    """Delete received messages, one call for ten. Deleting one twice is harmless; a failure is logged."""
    for batch in _in_batches(receipts):
        entries = [{"Id": str(position), "ReceiptHandle": receipt} for position, receipt in enumerate(batch)]
        _call("delete_message_batch", entries)


def depth() -> int:
    """Messages that wait to be received, as SQS estimates them. One call."""
    answer = aws.client("sqs").get_queue_attributes(
        QueueUrl=needed("jobs_queue_url"), AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _in_batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]


def _call(operation: str, entries: list[dict[str, Any]]) -> None:
    try:
        answer = getattr(aws.client("sqs"), operation)(QueueUrl=needed("jobs_queue_url"), Entries=entries)
    except (BotoCoreError, ClientError) as failure:
        log.warning("SQS did not answer", extra={"action": operation, "error": str(failure)})
        return
    for failed in answer.get("Failed", []):
        log.warning("SQS refused an entry", extra={"action": operation, "error": failed.get("Message")})
