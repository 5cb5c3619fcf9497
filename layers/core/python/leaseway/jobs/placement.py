"""Placement: which queue a new job waits in. Decided once, from its type and from what was asked."""

from enum import StrEnum

from leaseway.errors import InvalidInputError
from leaseway.jobs import queue
from leaseway.jobs.queue import Queue
from leaseway.jobs.types import JobType


class Priority(StrEnum):
    """Which of three queues a job waits in. Each has workers of its own, so a flood of one delays no other."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def queue_of(kind: JobType, priority: Priority | None) -> str | None:
    """The name of the queue that a new job waits in; None for the normal one.

    Raises:
        InvalidInputError: the deployment has no such queue, or the type has one of its own, without priorities.
    """
    named = None if priority in (None, Priority.NORMAL) else str(priority)
    if kind.own_queue is not None and named is not None:
        raise InvalidInputError("jobs of this type wait in a queue of their own, all alike", field="priority")
    name = kind.own_queue or named
    if name is not None and Queue(name) not in queue.deployed():
        raise InvalidInputError("this deployment has no queue for it", field="priority" if named else "type")
    return name
