"""Cancelling and retrying many jobs: all of a selection, a bounded part at a time.

A part is found as a list is and changed job by job, each by a write on condition that it is as it was found. So two who
work on one selection do each job once, and whatever moved meanwhile is told and left alone.
"""

from typing import NamedTuple

import msgspec

from leaseway.cursors import LARGEST_PAGE
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.jobs import queue
from leaseway.jobs.control import control
from leaseway.jobs.find.lists import Selection, find
from leaseway.jobs.job import LIVE, Job, JobStatus
from leaseway.jobs.tags import check_tag

MOST_TOGETHER = LARGEST_PAGE

CANCELLABLE = LIVE
RETRYABLE = (JobStatus.FAILED, JobStatus.CANCELLED)


class Outcome(NamedTuple):
    """A job that was found: as it is now, and why it was not changed where it was to be."""

    job: Job
    refusal: LeasewayError | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with a part of a selection. `cursor` leads on to the rest and is None at the end."""

    outcomes: list[Outcome]
    dry_run: bool
    cursor: str | None

    @property
    def refused(self) -> int:
        """How many jobs had moved since they were found."""
        return sum(outcome.refusal is not None for outcome in self.outcomes)

    @property
    def changed(self) -> int:
        """How many jobs were changed; none in a dry run."""
        return 0 if self.dry_run else len(self.outcomes) - self.refused


def cancel_jobs(
    selection: Selection, *, actor: str, limit: int = MOST_TOGETHER, cursor: str | None = None, dry_run: bool = False
) -> Report:
    """Cancel up to 100 jobs of a selection. The reads of a filtered list, and four write units a job.

    Raises:
        InvalidInputError: it selects nothing, everything, or jobs that have ended; or the limit is out of bounds.
        InvalidCursorError: the cursor belongs to another selection, or to retries.
        UnavailableError: DynamoDB kept part of the list back.
    """
    found, onward = _found(selection, CANCELLABLE, "cancel", limit, cursor)
    step = control.cancelling(actor)
    return Report(outcomes=[_changed(job, step, dry_run) for job in found], dry_run=dry_run, cursor=onward)


def retry_jobs(
    selection: Selection, *, limit: int = MOST_TOGETHER, cursor: str | None = None, dry_run: bool = False
) -> Report:
    """Try up to 100 jobs of a selection again. The reads of a filtered list, four write units a job, a send for ten.

    Raises what `cancel_jobs` raises.
    """
    found, onward = _found(selection, RETRYABLE, "retry", limit, cursor)
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(_changed(job, control.retrying, dry_run) for job in found)
    finally:
        # Also where the table failed halfway: those before it wait already.
        again = [] if dry_run else [outcome.job for outcome in outcomes if outcome.refusal is None]
        queue.send([queue.build_message(job) for job in again])
    return Report(outcomes=outcomes, dry_run=dry_run, cursor=onward)


def _found(
    selection: Selection, possible: tuple[JobStatus, ...], purpose: str, limit: int, cursor: str | None
) -> tuple[list[Job], str | None]:
    _check(selection, possible)
    chosen = selection if selection.statuses else msgspec.structs.replace(selection, statuses=possible)
    return find(chosen, purpose, limit=limit, cursor=cursor)


def _check(selection: Selection, possible: tuple[JobStatus, ...]) -> None:
    begin, end = selection.created_from, selection.created_before
    if not selection.statuses and all(one is None for one in (selection.type_name, selection.tag, begin, end)):
        raise InvalidInputError("say which jobs: by status, type, tag or time of creation")
    if not set(selection.statuses) <= set(possible):
        raise InvalidInputError(f"must be {' or '.join(possible)}", field="status")
    if begin is not None and end is not None and begin > end:
        raise InvalidInputError("must not be before created_after", field="created_before")
    if selection.tag is not None:
        check_tag(selection.tag)


def _changed(job: Job, step: control.Step, dry_run: bool) -> Outcome:
    if dry_run:
        return Outcome(job)
    try:
        return Outcome(control.changed_as_seen(job, step))
    except LeasewayError as refusal:
        return Outcome(job, refusal)
