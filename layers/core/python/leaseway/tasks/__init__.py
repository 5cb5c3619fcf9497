"""Recurring tasks: each slot is settled exactly once, however many ticks run."""

from leaseway.tasks.definitions import Definition, TaskExistsError, change_task, create_task, delete_task
from leaseway.tasks.invalid_schedule import InvalidScheduleError
from leaseway.tasks.model import CatchUp, Overlap, Task, TaskNotFoundError
from leaseway.tasks.slots import AlreadyRunningError, start_now

__all__ = [
    "AlreadyRunningError",
    "CatchUp",
    "Definition",
    "InvalidScheduleError",
    "Overlap",
    "Task",
    "TaskExistsError",
    "TaskNotFoundError",
    "change_task",
    "create_task",
    "delete_task",
    "start_now",
]
