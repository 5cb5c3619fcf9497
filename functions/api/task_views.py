"""Views of tasks in the API's JSON: definition, state, history and statistics."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.ids import JobId, TaskId
from api.views import Time, rfc3339, time_or_none
from leaseway.jobs.job import Job
from leaseway.tally.task_statistics import RunStatistics
from leaseway.tally.task_summary import TaskSummary
from leaseway.tasks import CatchUp, Overlap, Task
from leaseway.tasks.history import HistoryEntry, HistoryPage
from leaseway.tasks.overview import Standing, State, TaskPage

Milliseconds = Annotated[float, Meta(description="ms; null before the first run has ended")]


class RunView(msgspec.Struct):
    """A run of a task. The job with this id has more, such as the result."""

    job_id: JobId
    status: str
    worker: Annotated[str | None, Meta(description="The worker that runs it, or ran it last")]
    attempts: int
    crashes: Annotated[int, Meta(description="How often its worker died")]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    running_seconds: Annotated[float | None, Meta(description="Since its start, while it is RUNNING")]
    error_message: str | None


class TaskView(msgspec.Struct):
    """A recurring task with its current state."""

    id: TaskId
    name: str
    state: Annotated[State, Meta(description="RUNNING while a worker has its last run; otherwise WAITING or PAUSED")]
    cron: str | None
    every: str | None
    timezone: str
    type: str
    payload: dict[str, Any]
    ttl_ms: int
    max_attempts: int
    enabled: bool
    overlap: Overlap
    catch_up: CatchUp
    jitter_seconds: int
    start_within_seconds: Annotated[int | None, Meta(description="null if a run waits for a worker without a limit")]
    owner: Annotated[str, Meta(description="The user who created it, to whom its runs belong")]
    version: Annotated[int, Meta(description="Increases with each change of the definition")]
    next_run: Annotated[Time | None, Meta(description="null while paused")]
    run: Annotated[RunView | None, Meta(description="The last run, or the one in progress")]
    missed: Annotated[int, Meta(description="Slots that no tick handled in time")]
    skipped: Annotated[int, Meta(description="Slots that were skipped because the previous run had not ended")]
    skipped_in_row: Annotated[int, Meta(description="Slots skipped since the schedule last started a run")]
    failed_in_row: Annotated[
        int,
        Meta(
            description="Runs in a row that did not end COMPLETED, without those that a client cancelled; the last one "
            "counts once another starts"
        ),
    ]
    created_at: Time
    updated_at: Time


class TaskPageView(msgspec.Struct):
    """A page of the tasks, by name."""

    content: list[TaskView]
    cursor: Annotated[str | None, Meta(description="The cursor of the next page; null at the end")]


class HistoryEntryView(msgspec.Struct):
    """A run, a skipped slot, or a period of missed slots."""

    task_id: TaskId
    name: str
    status: Annotated[str, Meta(description="The status of its job, or SKIPPED or MISSED")]
    at: Annotated[Time, Meta(description="When the run was created, or the slot skipped or missed")]
    slot: Annotated[Time | None, Meta(description="The slot, or the first one missed; null for a run by hand")]
    until: Annotated[Time | None, Meta(description="The last slot missed")]
    slots: Annotated[int, Meta(description="The number of slots that the entry covers")]
    run: RunView | None


class EntryPageView(msgspec.Struct):
    """A page of history, newest first."""

    content: list[HistoryEntryView]
    cursor: Annotated[str | None, Meta(description="The cursor of the next page; null at the end")]


class FiguresView(msgspec.Struct):
    """How runs ended and how long they took."""

    runs: Annotated[int, Meta(description="Runs that have ended")]
    successes: int
    failures: int
    cancelled: int
    mean_ms: Milliseconds | None
    p95_ms: Milliseconds | None


class TaskFiguresView(FiguresView, kw_only=True):
    """The statistics of one task."""

    task_id: TaskId
    name: str
    running: int
    missed: int
    skipped: int


class WorkerFiguresView(FiguresView, kw_only=True):
    """The statistics of one worker."""

    worker: str


class OverallView(FiguresView, kw_only=True):
    """The statistics of all tasks. Runs of deleted tasks count, but not their slots."""

    running: int
    missed: int
    skipped: int


class SummaryView(msgspec.Struct):
    """Statistics of all runs, usually a second late."""

    overall: OverallView
    by_task: list[TaskFiguresView]
    by_worker: Annotated[list[WorkerFiguresView], Meta(description="The hundred workers that ran most recently")]


def task_view(standing: Standing) -> TaskView:
    """A task for JSON."""
    task = standing.task
    return TaskView(
        id=task.id,
        name=task.name,
        state=standing.state,
        cron=task.cron,
        every=task.every,
        timezone=task.timezone,
        type=task.type,
        payload=task.payload,
        ttl_ms=task.ttl_ms,
        max_attempts=task.max_attempts,
        enabled=task.enabled,
        overlap=task.overlap,
        catch_up=task.catch_up,
        jitter_seconds=task.jitter_seconds,
        start_within_seconds=task.start_within_seconds,
        owner=task.owner,
        version=task.version,
        next_run=time_or_none(standing.next_run),
        run=run_view(standing.last, standing.running_seconds) if standing.last else None,
        missed=task.missed,
        skipped=task.skipped,
        skipped_in_row=task.skipped_in_row,
        failed_in_row=task.failed_in_row,
        created_at=rfc3339(task.created_at),
        updated_at=rfc3339(task.updated_at),
    )


def new_task_view(task: Task) -> TaskView:
    """A task that has not run yet, for JSON."""
    return task_view(Standing(task=task, last=None, at=task.updated_at))


def tasks_view(page: TaskPage) -> TaskPageView:
    """A page of tasks for JSON."""
    return TaskPageView(content=[task_view(standing) for standing in page.content], cursor=page.cursor)


def run_view(job: Job, running_seconds: float | None = None) -> RunView:
    """A run for JSON."""
    return RunView(
        job_id=job.id,
        status=job.status.value,
        worker=job.worker,
        attempts=job.attempts,
        crashes=job.crashes,
        created_at=rfc3339(job.created_at),
        started_at=time_or_none(job.started_at),
        finished_at=time_or_none(job.finished_at),
        running_seconds=running_seconds,
        error_message=job.error_message,
    )


def history_view(page: HistoryPage) -> EntryPageView:
    """A page of history for JSON."""
    return EntryPageView(content=[_entry_view(entry) for entry in page.content], cursor=page.cursor)


def summary_view(summary: TaskSummary) -> SummaryView:
    """The statistics for JSON."""
    overall = summary.statistics.overall
    return SummaryView(
        overall=OverallView(
            **_figures(overall), running=overall.running, missed=summary.total_missed, skipped=summary.total_skipped
        ),
        by_task=[
            TaskFiguresView(
                **_figures(figures),
                task_id=task.id,
                name=task.name,
                running=figures.running,
                missed=task.missed,
                skipped=task.skipped,
            )
            for task, figures in summary.by_task()
        ],
        by_worker=[
            WorkerFiguresView(**_figures(figures), worker=worker)
            for worker, figures in summary.statistics.by_worker.items()
        ],
    )


def _entry_view(entry: HistoryEntry) -> HistoryEntryView:
    return HistoryEntryView(
        task_id=entry.task_id,
        name=entry.name,
        status=entry.status,
        at=rfc3339(entry.at),
        slot=time_or_none(entry.slot),
        until=time_or_none(entry.until),
        slots=entry.slots,
        run=run_view(entry.job) if entry.job else None,
    )


def _figures(figures: RunStatistics) -> dict[str, Any]:
    return {
        "runs": figures.runs,
        "successes": figures.successes,
        "failures": figures.failures,
        "cancelled": figures.cancelled,
        "mean_ms": figures.mean_ms,
        "p95_ms": figures.p95_ms,
    }
