"""Received messages as the worker sees them: parsed, whether Lambda or a node received them."""

from collections.abc import Iterable, Sequence

import msgspec

from leaseway.jobs import queue
from leaseway.jobs.queue import Hiding, JobMessage
from leaseway.jobs.queue_names import Queue
from leaseway.logs import log
from leaseway.settings import settings
from worker.hiding import seconds_while_claimed


class Delivery(msgspec.Struct, frozen=True):
    """One received message of a job. Its receipt hides or deletes it."""

    message_id: str
    receipt: str
    message: JobMessage


def receive_hidden(source: Queue, *, most: int, wait_seconds: int) -> Sequence[queue.Received]:
    """Receive up to `most` messages, hidden until the leases that their claims will grant have surely ended. One call.

    If this process dies before it has claimed them, they come back by themselves within that time.

    Raises:
        UnavailableError: SQS did not answer.
    """
    return queue.receive(source, most=most, wait_seconds=wait_seconds, hidden_seconds=seconds_while_claimed())


def parse_deliveries(messages: Iterable[queue.Received], source: Queue) -> list[Delivery]:
    """Parse received messages, without those that name no job.

    A malformed message is hidden for one lease only, so that it reaches the dead-letter queue within minutes.
    """
    deliveries: list[Delivery] = []
    malformed: list[Hiding] = []
    for received in messages:
        try:
            message = queue.parse(received.body)
        except queue.MalformedMessageError:
            log.error("not a job's message", extra={"action": "parse", "message_id": received.message_id})
            malformed.append(Hiding(received.receipt, settings().lease_seconds))
        else:
            deliveries.append(Delivery(received.message_id, received.receipt, message))
    queue.hide(malformed, source)
    return deliveries
