"""The answers that commands read: the fields and types that each must have, checked where an answer arrives.

An answer may have more fields; they are kept, so that `--json` prints the whole document.
"""

from typing import Annotated, Any, TypedDict

from msgspec import Meta

Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]+\Z")]
"""What becomes a segment of a path in a later request."""


class AttemptAnswer(TypedDict):
    """One attempt at a job."""

    number: int
    worker: str | None
    started_at: str | None
    ended_at: str | None
    end: str
    error: str | None


class JobAnswer(TypedDict):
    """A job."""

    id: Id
    type: str
    status: str
    tags: list[str]
    payload: dict[str, Any] | None
    result: dict[str, Any] | None
    error_message: str | None
    attempts: int
    max_attempts: int
    worker: str | None
    version: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    progress: float | None
    progress_note: str | None
    history: list[AttemptAnswer]


class JobPageAnswer(TypedDict):
    """A page of jobs or of dead letters."""

    content: list[JobAnswer]
    totalElements: int | None
    cursor: str | None


class RefusalAnswer(TypedDict):
    """Why a job was not changed."""

    code: str


class ChangedJobAnswer(TypedDict):
    """One job of a selection after the change."""

    id: Id
    type: str
    status: str
    created_at: str
    problem: RefusalAnswer | None


class ChangedJobsAnswer(TypedDict):
    """A part of a selection after the change."""

    matched: int
    changed: int
    refused: int
    content: list[ChangedJobAnswer]
    cursor: str | None


class ReplayAnswer(TypedDict):
    """The result of replaying dead letters."""

    replayed: int
    left: int
    last_starts_at: str | None


class RunAnswer(TypedDict):
    """A run of a task."""

    job_id: Id
    status: str
    worker: str | None
    attempts: int
    crashes: int
    running_seconds: float | None


class StartedRunAnswer(TypedDict):
    """The job of a run that was started by hand."""

    job_id: Id


class TaskAnswer(TypedDict):
    """A recurring task."""

    id: Id
    name: str
    state: str
    cron: str | None
    every: str | None
    type: str
    next_run: str | None
    run: RunAnswer | None
    missed: int
    skipped: int


class TaskPageAnswer(TypedDict):
    """A page of tasks."""

    content: list[TaskAnswer]
    cursor: str | None


class HistoryEntryAnswer(TypedDict):
    """A run, a skipped slot, or a stretch of missed slots."""

    name: str
    status: str
    at: str
    slot: str | None
    slots: int
    run: RunAnswer | None


class HistoryPageAnswer(TypedDict):
    """A page of a task's history."""

    content: list[HistoryEntryAnswer]
    cursor: str | None


class OverallFiguresAnswer(TypedDict):
    """The sums over all tasks."""

    runs: int
    successes: int
    failures: int
    cancelled: int
    running: int
    missed: int
    skipped: int


class WorkerFiguresAnswer(TypedDict):
    """The figures of one worker."""

    worker: str
    runs: int
    mean_ms: float | None
    p95_ms: float | None


class TaskSummaryAnswer(TypedDict):
    """Statistics of all runs."""

    overall: OverallFiguresAnswer
    by_worker: list[WorkerFiguresAnswer]


class StatusCountsAnswer(TypedDict):
    """Numbers of jobs by status."""

    CREATED: int
    RUNNING: int
    COMPLETED: int
    FAILED: int
    CANCELLED: int


class TypeCountsAnswer(TypedDict):
    """Numbers of one type's jobs."""

    type: str
    jobs: StatusCountsAnswer


class OverviewAnswer(TypedDict):
    """How many jobs there are."""

    at: str
    owner: str | None
    jobs: StatusCountsAnswer
    types: list[TypeCountsAnswer]


class AccountAnswer(TypedDict):
    """A balance."""

    userId: str
    balance: float
    version: int
    updated_at: str


class LedgerEntryAnswer(TypedDict):
    """One change of a balance."""

    entry: str
    at: str
    kind: str
    amount: float
    balance_after: float
    reference: str | None
    counterparty: str | None
    reverses: str | None


class LedgerPageAnswer(TypedDict):
    """A page of a user's ledger."""

    content: list[LedgerEntryAnswer]
    cursor: str | None


class UserAnswer(TypedDict):
    """A user."""

    username: str
    role: str
    created_at: str
    disabled: bool


class NewUserAnswer(UserAnswer):
    """A new user; the code is null if it has a password."""

    code: str | None


class UserPageAnswer(TypedDict):
    """A page of users."""

    content: list[UserAnswer]
    cursor: str | None


class ResetAnswer(TypedDict):
    """A one-time code for a new password."""

    username: str
    code: str


class InvitationAnswer(TypedDict):
    """An invitation."""

    invitation: str
    expires_at: str


class UploadAnswer(TypedDict):
    """A presigned form for one upload."""

    key: str
    url: str
    fields: dict[str, str]
