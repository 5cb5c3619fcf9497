"""Placement: which queue a new job waits in. Decided once, from its type and its options."""

from leaseway.errors import InvalidInputError
from leaseway.jobs.create.options import Options, Priority
from leaseway.jobs.queue_names import ORDERED, Queue
from leaseway.jobs.types import JobType

LONGEST_ORDER_KEY = 128


def choose_queue(kind: JobType, options: Options) -> str | None:
    """The name of the queue that a new job waits in; None for the normal one.

    Raises:
        InvalidInputError: two options exclude each other, or the type excludes one, or the deployment has no such
            queue.
    """
    _check_order(options)
    requested = read_requested_queue(options)
    field = "order_key" if options.order_key is not None else "type" if requested is None else "priority"
    if kind.own_queue is not None and requested is not None:
        raise InvalidInputError("jobs of this type wait in a queue of their own, all alike", field=field)
    name = kind.own_queue or requested
    if name is not None and not Queue(name).is_deployed:
        raise InvalidInputError("this deployment has no queue for it", field=field)
    return name


def read_requested_queue(options: Options) -> str | None:
    """The name of the queue that the options request; None if they request no special one."""
    if options.order_key is not None:
        return ORDERED.name
    return None if options.priority in (None, Priority.NORMAL) else str(options.priority)


def _check_order(options: Options) -> None:
    if options.order_key is None:
        return
    if not 1 <= len(options.order_key) <= LONGEST_ORDER_KEY:
        raise InvalidInputError(f"must be from 1 to {LONGEST_ORDER_KEY} characters", field="order_key")
    if options.priority not in (None, Priority.NORMAL):
        raise InvalidInputError("a job that keeps an order has no priority", field="order_key")
    if options.is_delayed:
        raise InvalidInputError("a job that keeps an order starts in its turn, not at a time", field="order_key")
