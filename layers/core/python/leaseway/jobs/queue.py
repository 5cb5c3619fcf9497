"""The messages that stand for jobs: sent, received, hidden and deleted. A visibility timeout is its job's lease."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import aws, clock
from leaseway.errors import UnavailableError
from leaseway.jobs.job import Job
from leaseway.jobs.queue_names import Queue
from leaseway.logs import log

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

LONGEST_DELAY_SECONDS = 900
"""SQS's limit for `DelaySeconds`; a job due later is sent by the sweeper."""

LONGEST_HIDING_SECONDS = 43_200
"""SQS's limit for a visibility timeout."""

BATCH = 10
"""SQS's limit for entries in one call."""

BatchEntry = TypeVar("BatchEntry")


class JobMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a message. The time to live lets a worker judge whether it has time before it claims."""

    job_id: str
    ttl_ms: int
    version: int | None = None
    """The job's version when this was sent: a job of another version has been claimed, ended or retried since.

    None in messages of releases that did not send it."""


class MalformedMessageError(Exception):
    """The body of a message is not a job's."""


class Outgoing(NamedTuple):
    """A message to send, visible after `delay_seconds` (0 to 900)."""

    message: JobMessage
    queue: Queue
    group: str
    """SQS shares a queue's deliveries out fairly among groups. If the queue keeps order, it does so within a group."""
    delay_seconds: int = 0
    """Ignored by a queue that keeps order: a worker that receives the message too early hides it."""
    once: str = ""
    """A queue that keeps order takes one message with this text in five minutes."""


def build_message(job: Job, delay_seconds: int = 0) -> Outgoing:
    """Build the message that brings a job, as it is now, to a worker."""
    # A key creates a job again under its id if the first one was taken back, and SQS remembers that one's message.
    once = f"{job.id}-{job.version}-{job.created_at}"
    return Outgoing(JobMessage(job.id, job.ttl_ms, job.version), Queue.of(job), _group(job), delay_seconds, once)


def _group(job: Job) -> str:
    if job.order_key is None:
        return job.owner
    # A digest, because SQS takes 128 characters, and of a key that may be any text.
    return hashlib.sha256(f"{job.owner}#{job.order_key}".encode()).hexdigest()


class Received(NamedTuple):
    """A message that was received and is hidden for a while."""

    message_id: str
    receipt: str
    body: str


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
    """Send messages, one call for ten of a queue; returns how many SQS took. A failure is logged, never raised.

    A job whose message is lost stays CREATED and is sent again by the sweeper, so no caller has to handle it.
    """
    return len(outgoing) - len(_send_all(outgoing))


def send_when_due(jobs: Sequence[Job]) -> set[str]:
    """Send jobs' messages, delayed until their turn; returns the ids of jobs whose message SQS did not take.

    What is due in over 900 s is left to the sweeper.
    """
    delays = [(job, clock.seconds_until(job.run_after or 0)) for job in jobs]
    unsent = _send_all([build_message(job, delay) for job, delay in delays if delay <= LONGEST_DELAY_SECONDS])
    return {outgoing.message.job_id for outgoing in unsent}


def _send_all(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    """Send messages, each queue's in their order; returns those that SQS did not take."""
    by_queue = groupby(sorted(outgoing, key=_queue_of), _queue_of)
    batches = [(queue, batch) for queue, group in by_queue for batch in _in_batches(list(group))]
    return [refused for queue, batch in batches for refused in _send_batch(queue, batch)]


def _queue_of(outgoing: Outgoing) -> Queue:
    return outgoing.queue


def _send_batch(queue: Queue, batch: Sequence[Outgoing]) -> Sequence[Outgoing]:
    try:
        entries = [_build_entry(position, outgoing) for position, outgoing in enumerate(batch)]
        answer = aws.client("sqs").send_message_batch(QueueUrl=queue.url, Entries=entries)
    except Exception as failure:  # also a queue that this deployment does not have
        log.warning("messages not sent; the sweeper will", extra={"action": "send", "error": str(failure)})
        return batch
    for failed in answer.get("Failed", []):
        log.warning("message not sent; the sweeper will", extra={"action": "send", "error": failed.get("Message")})
    return [batch[int(failed["Id"])] for failed in answer.get("Failed", [])]


def _build_entry(position: int, outgoing: Outgoing) -> "SendMessageBatchRequestEntryTypeDef":
    entry: SendMessageBatchRequestEntryTypeDef = {
        "Id": str(position),
        "MessageBody": msgspec.json.encode(outgoing.message).decode(),
        "MessageGroupId": outgoing.group,
    }
    if outgoing.queue.keeps_order:
        entry["MessageDeduplicationId"] = outgoing.once
    else:
        entry["DelaySeconds"] = outgoing.delay_seconds
    return entry


def receive(queue: Queue, *, most: int = 1, wait_seconds: int, hidden_seconds: int) -> list[Received]:
    """Up to `most` messages (10 at the most; one where order is kept), waiting so long for the first. One call.

    With no wait SQS asks some of its servers only, and may miss a message that is there.

    Raises:
        UnavailableError: SQS did not answer.
    """
    try:
        answer = aws.client("sqs").receive_message(
            QueueUrl=queue.url,
            # Two of one group might come together, and the second would be held while the first has its turn.
            MaxNumberOfMessages=1 if queue.keeps_order else most,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=hidden_seconds,
        )
    except (BotoCoreError, ClientError) as failure:
        raise UnavailableError("the queue does not answer") from failure
    messages = answer.get("Messages", [])
    return [Received(message["MessageId"], message["ReceiptHandle"], message["Body"]) for message in messages]


def hide(hidings: Sequence[Hiding], queue: Queue) -> None:
    """Set the visibility timeout of received messages, one call for ten.

    What SQS refuses (a receipt too old, a message deleted since) is logged, not raised: the message keeps the
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
        _call("change_message_visibility_batch", queue, entries)


def delete(receipts: Sequence[str], queue: Queue) -> None:
    """Delete received messages, one call for ten. Deleting one twice is harmless; a failure is logged."""
    for batch in _in_batches(receipts):
        entries = [{"Id": str(position), "ReceiptHandle": receipt} for position, receipt in enumerate(batch)]
        _call("delete_message_batch", queue, entries)


def depth(queue: Queue) -> int:
    """Messages that wait to be received, as SQS estimates them. One call."""
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _in_batches(entries: Sequence[BatchEntry]) -> Iterator[Sequence[BatchEntry]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]


def _call(operation: str, queue: Queue, entries: list[dict[str, Any]]) -> None:
    try:
        answer = getattr(aws.client("sqs"), operation)(QueueUrl=queue.url, Entries=entries)
    except (BotoCoreError, ClientError) as failure:
        log.warning("SQS did not answer", extra={"action": operation, "error": str(failure)})
        return
    for failed in answer.get("Failed", []):
        log.warning("SQS refused an entry", extra={"action": operation, "error": failed.get("Message")})
