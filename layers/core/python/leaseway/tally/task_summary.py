"""The summary of all tasks: what the stream counted of their runs, and what the tasks say of their slots."""

from collections.abc import Iterator

import msgspec

from leaseway.tally.task_statistics import Figures, RunStats, run_stats
from leaseway.tasks.model import Task
from leaseway.tasks.overview import all_tasks


class Summary(msgspec.Struct, frozen=True):
    """Figures of runs, and the tasks by name."""

    stats: RunStats
    tasks: list[Task]

    @property
    def missed(self) -> int:
        """Slots that nobody saw in time."""
        return sum(task.missed for task in self.tasks)

    @property
    def skipped(self) -> int:
        """Slots that came while an earlier run was at work."""
        return sum(task.skipped for task in self.tasks)

    def by_task(self) -> Iterator[tuple[Task, Figures]]:
        """Every task there is with its figures."""
        return ((task, self.stats.by_task.get(task.id, Figures())) for task in self.tasks)


def summary() -> Summary:
    """The summary. Three queries and a read of the tasks, a hundred at a time; no run is read."""
    return Summary(run_stats(), all_tasks())
