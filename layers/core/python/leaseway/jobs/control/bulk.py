"""Cancelling and retrying many jobs: all of a selection, a bounded part at a time.

A part is selected as a list is and changed job by job, each by a write on condition that it is as it was read. So two
callers with one selection change each job once; a job that has moved since it was read is left alone and reported.
"""

import msgspec

from leaseway.cursors import LARGEST_PAGE
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.jobs.control.control import Step, apply_as_seen, plan_cancel
from leaseway.jobs.control.pacing import Outcome, restart_paced
from leaseway.jobs.find.lists import find
from leaseway.jobs.find.selection import Selection
from leaseway.jobs.job import LIVE, Job, JobStatus
from leaseway.jobs.tag_syntax import check_tag

MOST_TOGETHER = LARGEST_PAGE

CANCELLABLE = LIVE
RETRYABLE = (JobStatus.FAILED, JobStatus.CANCELLED)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with a part of a selection. `cursor` leads on to the rest and is None at the end."""

    outcomes: list[Outcome]
    dry_run: bool
    cursor: str | None

    @property
    def refusals(self) -> int:
        """How many jobs had moved since they were read."""
        return sum(outcome.refusal is not None for outcome in self.outcomes)

    @property
    def changes(self) -> int:
        """How many jobs were changed; none in a dry run."""
        return 0 if self.dry_run else len(self.outcomes) - self.refusals


def cancel_jobs(
    selection: Selection, *, actor: str, limit: int = MOST_TOGETHER, cursor: str | None = None, dry_run: bool = False
) -> Report:
    """Cancel up to 100 jobs of a selection, newest first. The reads of a filtered list, and four write units a job.

    Raises:
        InvalidInputError: it selects nothing, everything, or jobs that have ended; or the limit is out of bounds.
        InvalidCursorError: the cursor belongs to another selection, or to retries.
        UnavailableError: DynamoDB kept part of the list back.
    """
    within = _check(selection, CANCELLABLE)
    jobs, onward = find(within, "cancel", limit=limit, cursor=cursor)
    step = plan_cancel(actor)
    outcomes = [Outcome(job) if dry_run else _apply(step, job) for job in jobs]
    return Report(outcomes=outcomes, dry_run=dry_run, cursor=onward)


def retry_jobs(
    selection: Selection, *, limit: int = MOST_TOGETHER, cursor: str | None = None, dry_run: bool = False
) -> Report:
    """Try up to 100 jobs of a selection again, oldest first, paced as a replay of dead letters is.

    So jobs with one `order_key` start again in the order in which they were created, over all parts of the selection.
    The reads of a filtered list, four write units a job, a send for ten, and one or two writes for the pace.

    Raises what `cancel_jobs` raises.
    """
    within = _check(selection, RETRYABLE)
    # The purpose names the direction: a cursor that leads the other way is refused.
    jobs, onward = find(within, "retry, oldest first", limit=limit, cursor=cursor, oldest_first=True)
    outcomes = [Outcome(job) for job in jobs] if dry_run else restart_paced(jobs)
    return Report(outcomes=outcomes, dry_run=dry_run, cursor=onward)


def _check(selection: Selection, possible: tuple[JobStatus, ...]) -> Selection:
    """Check a selection and return it, limited to the statuses that the change is possible in."""
    begin, end = selection.created_from, selection.created_before
    if not selection.statuses and all(one is None for one in (selection.type_name, selection.tag, begin, end)):
        raise InvalidInputError("say which jobs: by status, type, tag or time of creation")
    if not set(selection.statuses) <= set(possible):
        raise InvalidInputError(f"must be {' or '.join(possible)}", field="status")
    if begin is not None and end is not None and begin > end:
        raise InvalidInputError("must not be before created_after", field="created_before")
    if selection.tag is not None:
        check_tag(selection.tag)
    return selection if selection.statuses else msgspec.structs.replace(selection, statuses=possible)


def _apply(step: Step, job: Job) -> Outcome:
    try:
        return Outcome(apply_as_seen(job, step))
    except LeasewayError as refusal:
        return Outcome(job, refusal)
