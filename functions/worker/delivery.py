"""Received messages as the worker sees them: parsed, whether Lambda or a node received them."""

from collections.abc import Iterable

import msgspec

from leaseway.jobs import queue
from leaseway.jobs.queue import Hiding, JobMessage, Queue
from leaseway.logs import log
from leaseway.settings import settings


class Delivery(msgspec.Struct, frozen=True):
    """One received message of a job. Its receipt hides or deletes it."""

    message_id: str
    receipt: str
    message: JobMessage


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
