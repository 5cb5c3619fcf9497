"""The names of the queues, by which jobs store where they wait, and their addresses in this deployment.

A job's queue is decided when it is created and stored with it, so code that sends, hides or deletes a message later
needs to know only the job.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from leaseway.jobs.job import Job
from leaseway.settings import SettingsInvalidError, require_setting, settings


class Queue(NamedTuple):
    """A queue of jobs' messages, by a name that a job can store: one of those below, or a type's own."""

    name: str

    @property
    def url(self) -> str:
        """The queue's address.

        Raises:
            SettingsInvalidError: the deployment has no such queue.
        """
        if self.name in _SETTINGS:
            return require_setting(_SETTINGS[self.name])
        try:
            return _parse_type_urls(settings().type_queue_urls)[self.name]
        except KeyError:
            raise SettingsInvalidError(f"settings: TYPE_QUEUE_URLS names no queue of {self.name}") from None

    @property
    def is_deployed(self) -> bool:
        """Whether this deployment has it: the queue of a job type goes when the type is retired."""
        try:
            return bool(self.url)
        except SettingsInvalidError:
            return False

    @property
    def keeps_order(self) -> bool:
        """Whether it hands out messages of a group one by one, in the order sent (FIFO)."""
        return self == ORDERED

    @classmethod
    def of(cls, job: Job) -> "Queue":
        """The queue that a job's messages belong to."""
        if job.queue is not None:
            return cls(job.queue)
        return NORMAL if job.task_id is None else TASKS

    @classmethod
    def from_arn(cls, arn: str) -> "Queue":
        """Find the queue that an event's `eventSourceARN` names; the normal one if it names none of ours."""
        name = arn.rpartition(":")[2]
        return next((queue for queue in list_deployed() if name and queue.url.endswith(f"/{name}")), NORMAL)


NORMAL = Queue("normal")
HIGH = Queue("high")
LOW = Queue("low")
ORDERED = Queue("ordered")
TASKS = Queue("tasks")
"""Runs of recurring tasks, handed out one by one."""

_SETTINGS = {
    NORMAL.name: "jobs_queue_url",
    HIGH.name: "high_queue_url",
    LOW.name: "low_queue_url",
    ORDERED.name: "ordered_queue_url",
    TASKS.name: "tasks_queue_url",
}


def list_deployed() -> Iterator[Queue]:
    """List every queue of this deployment."""
    yield from (Queue(name) for name, setting in _SETTINGS.items() if getattr(settings(), setting))
    yield from map(Queue, _parse_type_urls(settings().type_queue_urls))


@lru_cache(maxsize=4)
def _parse_type_urls(text: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name.strip(): url.strip() for name, _, url in pairs}
