"""The summary of all tasks: the statistics of their runs, and the slots that they missed and skipped."""

from collections.abc import Iterator

import msgspec

from leaseway.tally.task_statistics import RunStatistics, TaskStatistics, read_statistics
from leaseway.tasks.model import Task
from leaseway.tasks.overview import all_tasks


class TaskSummary(msgspec.Struct, frozen=True):
    """Statistics of runs, and the tasks by name."""

    statistics: TaskStatistics
    tasks: list[Task]

    @property
    def total_missed(self) -> int:
        """Slots that no tick saw in time."""
        return sum(task.missed for task in self.tasks)

    @property
    def total_skipped(self) -> int:
        """Slots that came while an earlier run was still going on."""
        return sum(task.skipped for task in self.tasks)

    def by_task(self) -> Iterator[tuple[Task, RunStatistics]]:
        """Every task with the statistics of its runs."""
        return ((task, self.statistics.by_task.get(task.id, RunStatistics())) for task in self.tasks)


def read_summary() -> TaskSummary:
    """Read the summary. Three queries and a read of the tasks, a hundred at a time; no run is read."""
    return TaskSummary(read_statistics(), all_tasks())
