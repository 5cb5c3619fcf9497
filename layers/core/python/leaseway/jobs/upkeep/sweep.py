"""The sweep: live jobs that are due a look, found by one sparse index and settled one by one.

Each look moves the job's next look in the same conditional write that judges it, so two sweeps at once do each job
once. A job done within `FIRST_LOOK_SECONDS` is never read here.
"""

from collections.abc import Iterator, Sequence

import msgspec
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.budget import Budget
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import TAKEOVER_GRACE_MS, Lease, get_lease
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.jobs.transitions import plan_first_look
from leaseway.settings import settings

_READ_TOGETHER = 100  # BatchGetItem's limit


class SweepReport(msgspec.Struct):
    """What one sweep did, in jobs; `lag_ms` is how overdue the most overdue look was."""

    looked: int = 0
    resent: int = 0
    cancelled: int = 0
    moved: int = 0
    left: bool = False
    lag_ms: int = 0


class _Sweep:
    """One sweep: its budget, its view of the queues' depth and its report."""

    def __init__(self) -> None:
        self.now = clock.now_ms()
        self.report = SweepReport()
        self._deep: dict[queue.Queue, bool] = {}
        self.outgoing: list[queue.Outgoing] = []
        self.budget = Budget(settings().sweep_items, settings().sweep_seconds)

    def look(self, job: Job) -> None:
        self.budget.take()
        self.report.looked += 1
        self.report.lag_ms = max(self.report.lag_ms, self.now - (job.look_at or self.now))
        lease = get_lease(job)
        if lease is None:
            self._look_at_created(job)
        else:
            self._look_at_running(lease)

    def _look_at_created(self, job: Job) -> None:
        if job.run_after is not None and job.run_after > self.now:
            self._look_at_delayed(job, job.run_after)
            return
        self._send_again(job, since=max(job.updated_at, job.run_after or 0))

    def _send_again(self, job: Job, *, since: int) -> None:
        """Resend a job that waits for a worker. The wait doubles at each look; a deep queue gets it once an hour."""
        wait = self._wait(since)
        longest = settings().look_cap_seconds * 1000
        self._move(job, self.now + wait, resend=wait == longest or not self._backlog(queue.Queue.of(job)))

    def _send_abandoned(self, lease: Lease) -> None:
        """Resend a job whose worker died, however deep its queue: it may have no message, and its time is running.

        There are no more of them than there were workers, so they flood no queue.
        """
        wait_until = self.now + self._wait(lease.until)
        # An unconfirmed claim used up none of the job's time: the next one has its own deadline.
        self._move(lease.job, wait_until if lease.is_unconfirmed else min(lease.deadline, wait_until), resend=True)

    def _wait(self, since: int) -> int:
        longest = settings().look_cap_seconds * 1000
        return min(longest, max(settings().first_look_seconds * 1000, self.now - since))

    def _backlog(self, of: queue.Queue) -> bool:
        # Asked once a sweep, and only where a job waits for a worker.
        if of not in self._deep:
            self._deep[of] = queue.depth(of) > settings().sweep_backlog
        return self._deep[of]

    def _look_at_delayed(self, job: Job, run_after: int) -> None:
        delay = -(-(run_after - self.now) // 1000)
        if delay > queue.LONGEST_DELAY_SECONDS:
            self._move(job, plan_first_look(run_after), resend=False)
        else:
            look_at = run_after + settings().first_look_seconds * 1000
            self._move(job, look_at, resend=not queue.Queue.of(job).keeps_order, delay=delay)

    def _look_at_running(self, lease: Lease) -> None:
        if lease.deadline <= self.now and not lease.is_unconfirmed:
            self.report.cancelled += finish.expire(lease)
        elif lease.until + TAKEOVER_GRACE_MS <= self.now:
            self._send_abandoned(lease)
        else:
            look_at = lease.until + TAKEOVER_GRACE_MS
            self._move(lease.job, look_at if lease.is_unconfirmed else min(lease.deadline, look_at), resend=False)

    def _move(self, job: Job, look_at: int, *, resend: bool, delay: int = 0) -> None:
        unchanged = (
            (JobModel.status == job.status.value) & (JobModel.fence == job.fence) & (JobModel.look_at == job.look_at)
        )
        moved: list[Action] = [JobModel.look_at.set(max(look_at, self.now + 1_000))]
        try:
            JobModel.change(job.id, moved, unchanged)
        except ConditionRefusedError:
            return  # it was claimed, finished or looked at meanwhile
        self.report.moved += 1
        if resend:
            self.outgoing.append(queue.build_message(job, delay))


def sweep() -> SweepReport:
    """Look at the live jobs that are due, oldest look first within each shard.

    Reads in proportion to what is due; each job looked at costs three write units (the live index moves it).
    """
    run = _Sweep()
    for shard in range(settings().outcome_shards):
        for jobs in _due(str(shard), run):
            for job in jobs:
                if run.budget.is_spent:
                    break
                run.look(job)
            run.report.resent += queue.send(run.outgoing)
            run.outgoing.clear()
            if run.budget.is_spent:
                run.report.left = True
                return run.report
    return run.report


def _due(shard: str, run: _Sweep) -> Iterator[Sequence[Job]]:
    keys = [
        found.id for found in JobModel.by_look.query(shard, JobModel.look_at <= run.now, limit=run.budget.items_left)
    ]
    for start in range(0, len(keys), _READ_TOGETHER):
        yield list(_read(keys[start : start + _READ_TOGETHER]))


def _read(ids: Sequence[str]) -> Iterator[Job]:
    for model in JobModel.batch_get(ids, consistent_read=True):
        job = job_from_item(model.serialize())
        if job is not None and not job.status.is_terminal:
            yield job
