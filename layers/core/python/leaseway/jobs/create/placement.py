"""Placement: which queue a new job waits in. Decided once, from its type and from what was asked."""

from enum import StrEnum
from typing import NamedTuple

from leaseway.errors import InvalidInputError
from leaseway.jobs import queue
from leaseway.jobs.queue import Queue
from leaseway.jobs.types import JobType


class Priority(StrEnum):
    """Which of three queues a job waits in. Each has workers of its own, so a flood of one delays no other."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


LONGEST_ORDER_KEY = 128


class Asked(NamedTuple):
    """What was asked about a job's turn. Jobs of an owner with one `order_key` start one by one, as created."""

    priority: Priority | None = None
    order_key: str | None = None
    delayed: bool = False


def queue_of(kind: JobType, asked: Asked) -> str | None:
    """The name of the queue that a new job waits in; None for the normal one.

    Raises:
        InvalidInputError: what was asked excludes each other or the type, or the deployment has no such queue.
    """
    field, named = _named(asked)
    if kind.own_queue is not None and named is not None:
        raise InvalidInputError("jobs of this type wait in a queue of their own, all alike", field=field)
    name = kind.own_queue or named
    if name is not None and Queue(name) not in queue.deployed():
        raise InvalidInputError("this deployment has no queue for it", field=field)
    return name


def _named(asked: Asked) -> tuple[str, str | None]:
    """The queue that was asked for, and the field that asked for it."""
    priority = None if asked.priority in (None, Priority.NORMAL) else str(asked.priority)
    if asked.order_key is None:
        return ("type", None) if priority is None else ("priority", priority)
    if not 1 <= len(asked.order_key) <= LONGEST_ORDER_KEY:
        raise InvalidInputError(f"must be from 1 to {LONGEST_ORDER_KEY} characters", field="order_key")
    if priority is not None:
        raise InvalidInputError("a job that keeps an order has no priority", field="order_key")
    if asked.delayed:
        raise InvalidInputError("a job that keeps an order starts in its turn, not at a time", field="order_key")
    return "order_key", queue.ORDERED.name
