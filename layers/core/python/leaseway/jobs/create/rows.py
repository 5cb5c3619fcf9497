"""The rows of new jobs: put only if their id is free, and deleted only if no worker has claimed them."""

from collections.abc import Sequence
from contextlib import suppress

from pynamodb.expressions.condition import Condition

from leaseway import clock
from leaseway.dynamodb.table import ConditionRefusedError, Item, Part
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError, transact_until_settled
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.order_limit import OrderKeyFullError, count_part
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.settings import settings

_ORDERED_TOGETHER = 50
"""Jobs of one order key in a transaction: as many payloads as fit into its 4 MB."""

_STOPPED = "an earlier job of its order key was not created; try again"
_TRIES = 8
_ORDER_BUSY = "others create jobs of this order key just now; try again"


Inserted = dict[str, Item | LeasewayError | None]
"""By a job's id: None if it was put, the item of the job that existed, or why it was not put."""

Stopped = dict[str, LeasewayError]
"""Why no later job of an order key is created."""


def insert_row(row: JobModel) -> Item | None:
    """Put the row of a new job; returns the item of the job that exists under its id, None if there was none.

    One conditional PutItem. An expired job is deleted first, two calls more.
    """
    try:
        JobModel.insert(row)
    except ConditionRefusedError as refusal:
        existing = refusal.item or {}
        if job_from_item(existing) is not None:
            return existing
        delete_expired(row.id)
        return insert_row(row)
    return None


def insert_in_order(rows: Sequence[JobModel], stopped: Stopped) -> Inserted:
    """Put the rows that have an order key, in their order; what stops one of a key stops the later ones of that key.

    `stopped` has the keys that were stopped before, and is extended. Returns what `insert_ordered` does.
    """
    inserted: Inserted = {}
    for part in _part_by_order(rows):
        order_key = str(part[0].order_key)
        failure = stopped.get(order_key)
        inserted |= insert_ordered(part) if failure is None else {row.id: failure for row in part}
        failures = [outcome for row in part if isinstance(outcome := inserted[row.id], LeasewayError)]
        if failures:
            stop(order_key, failures[0], stopped)
    return inserted


def stop(order_key: str, failure: LeasewayError, stopped: Stopped) -> None:
    """Let no later job of an order key be created, because an earlier one was not."""
    later = failure if isinstance(failure, OrderKeyFullError) else UnavailableError(_STOPPED)
    stopped.setdefault(order_key, later)


def _part_by_order(rows: Sequence[JobModel]) -> list[list[JobModel]]:
    """The rows that have an order key, in their order: those of one key together, up to `_ORDERED_TOGETHER`."""
    by_key: dict[str, list[JobModel]] = {}
    for row in rows:
        if row.order_key is not None:
            by_key.setdefault(row.order_key, []).append(row)
    starts = [(part, start) for part in by_key.values() for start in range(0, len(part), _ORDERED_TOGETHER)]
    return [part[start : start + _ORDERED_TOGETHER] for part, start in starts]


def insert_ordered(rows: Sequence[JobModel]) -> Inserted:
    """Put the rows of up to 50 new jobs of one order key, all or none, and count them.

    Returns, by id, None for a job that was put, the item of a job that existed, or why it was not put. One transaction
    of 4 write units a job and 2 for the count.
    """
    insertion = _OrderedInsertion(rows)
    failure: LeasewayError | None = None
    try:
        transact_until_settled(insertion.plan, insertion.judge, tries=_TRIES, busy=_ORDER_BUSY)
    except LeasewayError as problem:
        failure = problem
    return insertion.existing | {row.id: failure for row in insertion.left}


class _OrderedInsertion:
    """Rows of one order key on their way: those that are left to put, and the items of those that existed."""

    def __init__(self, rows: Sequence[JobModel]) -> None:
        self.left = list(rows)
        self.existing: dict[str, Item] = {}

    def plan(self) -> list[Part]:
        """Put what is left, and count it; nothing if all exist."""
        if not self.left:
            return []
        row = self.left[0]
        return [*map(_put_part, self.left), count_part(row.owner, str(row.order_key), len(self.left))]

    def judge(self, cancelled: TransactionCancelledError) -> None:
        """Leave out the rows whose jobs exist, to put the others."""
        *of_rows, of_count = cancelled.reasons
        existing = _settle_existing(self.left, of_rows)
        self.existing |= existing
        self.left = [row for row in self.left if row.id not in existing]
        if of_count.refused and not any(reason.refused for reason in of_rows):
            raise OrderKeyFullError(limit=settings().ordered_jobs) from None


def _put_part(row: JobModel) -> Part:
    return JobModel.put_part(row, JobModel.id.does_not_exist())


def _settle_existing(rows: Sequence[JobModel], reasons: Sequence[Reason]) -> dict[str, Item]:
    """The items of the jobs that exist; deletes those that have expired."""
    existing = {row.id: reason.item or {} for row, reason in zip(rows, reasons, strict=True) if reason.refused}
    for job_id, item in existing.items():
        if job_from_item(item) is None:
            delete_expired(job_id)
    return {job_id: item for job_id, item in existing.items() if job_from_item(item) is not None}


def delete_expired(job_id: str) -> None:
    """Delete a job that has expired, as DynamoDB would later. Overwritten, it would leave no REMOVE record in the

    stream, by which its objects and its rows of tags are deleted.
    """
    with suppress(ConditionRefusedError):  # it is gone, or another request has this id by now
        JobModel.remove(job_id, JobModel.expires_at <= clock.now_ms() // 1000)


def is_never_claimed() -> Condition:
    """The condition that a job is as it was created: no worker has ever had it."""
    never_claimed: Condition = (JobModel.status == JobStatus.CREATED.value) & (JobModel.fence == 0)
    return never_claimed


def is_as_created(job: Job) -> bool:
    """Whether nothing has happened to a job, as far as a read of it can say: no claim, no cancel, no retry by hand."""
    return job.status is JobStatus.CREATED and job.fence == 0 and job.version == 1
