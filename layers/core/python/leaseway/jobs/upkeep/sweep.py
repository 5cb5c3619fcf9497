"""The sweep: live jobs that are due a look, found by one sparse index and settled side by side.

    timed shards     what only the sweeper brings on: delayed jobs, RUNNING ones at their deadline, lost messages
    waiting shards   jobs that have a message; a look is a precaution, and behind a deep queue it costs no write

Timed shards come first, with four fifths of the time. Each round takes one page of every shard that has more, so that
no shard waits for another. A look moves the job's next look in the same conditional write that judges it, so two sweeps
at once do each job once. What fails for one job stops no other: a call that may succeed a minute later leaves the look
due, and any other failure sets the job aside for an hour.
"""

from collections.abc import Sequence
from functools import partial
from itertools import chain

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import clock
from leaseway.budget import Budget
from leaseway.dynamodb.batches import READ_TOGETHER
from leaseway.dynamodb.failures import FailedWrite, classify_failure
from leaseway.dynamodb.table import ConditionRefusedError, Item
from leaseway.errors import UnavailableError
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel, job_from_item, live_key, timed_keys, waiting_keys
from leaseway.jobs.upkeep.due_looks import DueKey, DueShard
from leaseway.jobs.upkeep.looks import Expiry, Judgement, Look, Postponement, Withdrawal, is_urgent, judge
from leaseway.logs import log
from leaseway.pool import Pool
from leaseway.settings import settings

_ASIDE_MS = 3_600_000
_TIMED_SHARE = 0.8
_READ_OF_A_SHARD = 1_000  # looks of one waiting shard that a sweep reads; the next one reads on from there
_SHORTEST_WAIT_MS = 1_000


class SweepReport(msgspec.Struct):
    """What one sweep did, in jobs."""

    looked: int = 0
    resent: int = 0
    cancelled: int = 0
    moved: int = 0
    set_aside: int = 0
    """Jobs whose look failed in a way that another minute does not mend."""
    failed: int = 0
    """Jobs for which a call failed; their looks stay due."""
    unread_shards: int = 0
    """Shards of which a page could not be read."""
    left: bool = False
    """Whether due looks were left for the next sweep."""
    lag_ms: int = 0
    """How overdue the most overdue look was, over all shards; looks that wait behind a deep queue do not count."""


class _JudgedLook(msgspec.Struct, frozen=True):
    """A due look and what it leads to; without a judgement its job is set aside."""

    key: DueKey
    look: Look | None = None
    judgement: Judgement | None = None

    def place_in_round(self, now: int) -> tuple[bool, str]:
        """Sort urgent looks first, and those at jobs of one queue together, so that its sends are full."""
        if self.look is None:
            return True, ""
        return not is_urgent(self.look, now), Queue.of(self.look.job).name


# Where a sweep stopped in a waiting shard that is longer than it reads. It is lost with the process, and the next one
# starts at the oldest look: reading on is a matter of fairness, not of safety.
_resume: dict[str, Item] = {}


def sweep(pool: Pool | None = None) -> SweepReport:
    """Look at the live jobs that are due.

    A Query a shard, and half a read unit for each due look. A look that moves costs three write units (the live index
    moves it), and a tenth of a send if it sends. One that is left behind a deep queue costs no write.
    """
    run = _Sweep(pool or Pool(settings().sweep_threads))
    seconds, items = settings().sweep_seconds, settings().sweep_items
    timed, waiting = Budget(items, seconds * _TIMED_SHARE), Budget(items, seconds)
    run.settle([DueShard(name, run.now) for name in timed_keys()], timed)
    shards = [DueShard(name, run.now, _resume.pop(name, None)) for name in waiting_keys()]
    run.settle(shards, waiting, most=_READ_OF_A_SHARD)
    if not waiting.is_spent:
        _resume.update({shard.name: shard.resume for shard in shards if shard.resume is not None})
    return run.report


class _Sweep:
    """One sweep: its view of the queues and its report."""

    def __init__(self, pool: Pool) -> None:
        self.now = clock.now_ms()
        self.report = SweepReport()
        self._pool = pool
        self._deep: dict[Queue, bool] = {}
        self._unreachable: set[Queue] = set()

    def settle(self, shards: Sequence[DueShard], budget: Budget, most: int | None = None) -> None:
        """Settle due looks in rounds, a page of each shard a round, until they or the budget end.

        The first pages are read in any case, so that the lag is that of every shard. Of one shard at most `most` looks
        are read.
        """
        rounds = 0
        while unread := [shard for shard in shards if not shard.is_read]:
            size = min(READ_TOGETHER, -(-max(1, budget.items_left) // len(unread)))
            pages = self._pool.map(partial(DueShard.read_page, limit=size), unread)
            self._settle_round(list(chain.from_iterable(pages)), budget)
            rounds += 1
            if budget.is_spent or (most is not None and rounds * READ_TOGETHER >= most):
                break
        self._note_rest(shards)

    def _note_rest(self, shards: Sequence[DueShard]) -> None:
        rest = [shard for shard in shards if not shard.is_read]
        lags = [self.now - shard.read_until for shard in rest]
        self.report.lag_ms = max([self.report.lag_ms, *lags])
        failed = sum(shard.has_failed for shard in shards)
        self.report.unread_shards += failed
        self.report.left |= bool(rest) or failed > 0

    def _settle_round(self, keys: Sequence[DueKey], budget: Budget) -> None:
        due = sorted(filter(None, map(self._judge, keys)), key=lambda each: each.key.due_at)
        self.report.left |= len(due) > budget.items_left
        now = sorted(due[: max(0, budget.items_left)], key=lambda each: each.place_in_round(self.now))
        budget.take(len(now))
        groups = [now[start : start + queue.BATCH] for start in range(0, len(now), queue.BATCH)]
        for part in self._pool.map(partial(self._settle_group, budget=budget), groups):
            self._add(part)

    def _add(self, part: SweepReport) -> None:
        for name in ("resent", "cancelled", "moved", "set_aside", "failed"):
            setattr(self.report, name, getattr(self.report, name) + getattr(part, name))
        self.report.left |= part.left

    def _judge(self, key: DueKey) -> _JudgedLook | None:
        """Judge a look; None if nothing is to be done, or not any more."""
        try:
            look = _read_look(key, self.now)
            if look is None:
                return None
            self.report.looked += 1
            if is_urgent(look, self.now):
                self.report.lag_ms = max(self.report.lag_ms, self.now - look.due_at)
            judgement = judge(look, self.now, self._is_deep)
        except Exception:
            log.exception("a job cannot be judged", extra={"action": "sweep", "job_id": key.id})
            return _JudgedLook(key)
        return None if judgement is None else _JudgedLook(key, look, judgement)

    def _is_deep(self, of: Queue) -> bool:
        """Whether so many messages wait that another would help no job. Asked once a sweep; no answer counts as yes."""
        if of not in self._deep:
            try:
                self._deep[of] = queue.depth(of) > settings().sweep_backlog
            except (BotoCoreError, ClientError):
                log.warning("depth unknown", exc_info=True, extra={"action": "sweep", "queue": of.name})
                self._deep[of] = True
        return self._deep[of]

    def _settle_group(self, group: Sequence[_JudgedLook], budget: Budget) -> SweepReport:
        """Settle up to ten looks and send their messages; other groups are settled at the same time."""
        done = SweepReport()
        outgoing: list[Job] = []
        for due in group:
            if budget.is_over:
                done.left = True
                break
            try:
                outgoing += self._settle_one(due, done)
            except Exception as failure:
                self._note_failure(due, failure, done)
        self._send(outgoing, done)
        return done

    def _settle_one(self, due: _JudgedLook, done: SweepReport) -> list[Job]:
        """Carry out one judgement; returns the job, as it is now, if it needs a message."""
        match due.judgement:
            case Expiry(lease):
                done.cancelled += finish.expire(lease)
            case Withdrawal(job):
                end = finish.end_unstarted if job.is_overdue(self.now) else finish.cancel_too_old
                done.cancelled += end(job)
            case Postponement() as postponement if due.look is not None:
                job = due.look.job
                if postponement.send and not self._can_send(Queue.of(job)):
                    done.failed += 1
                    done.left = True
                elif (moved := _postpone(job, postponement)) is not None:
                    done.moved += 1
                    return [moved] if postponement.send else []
            case _:
                done.set_aside += _set_aside(due.key)
        return []

    def _can_send(self, of: Queue) -> bool:
        """Whether SQS has taken this queue's messages so far; raises SettingsInvalidError if there is no such queue."""
        return bool(of.url) and of not in self._unreachable

    def _note_failure(self, due: _JudgedLook, failure: Exception, done: SweepReport) -> None:
        facts = {"action": "sweep", "job_id": due.key.id}
        if _is_passing(failure):
            log.warning("a look failed; the next sweep repeats it", exc_info=failure, extra=facts)
            done.failed += 1
            done.left = True
            return
        log.error("a look failed; its job is set aside", exc_info=failure, extra=facts)
        try:
            done.set_aside += _set_aside(due.key)
        except Exception as refusal:
            log.warning("a job was not set aside", exc_info=refusal, extra=facts)
            done.failed += 1

    def _send(self, jobs: Sequence[Job], done: SweepReport) -> None:
        """Send the messages of jobs, each delayed until its turn. A job without a message then is due again at once."""
        unsent = queue.send_when_due(jobs)
        done.resent += len(jobs) - len(unsent)
        for job in (each for each in jobs if each.id in unsent):
            self._unreachable.add(Queue.of(job))
            done.failed += 1
            try:
                _postpone(job, Postponement(clock.now_ms(), timed=True))
            except Exception as failure:
                log.warning("a job has no message until its next look", exc_info=failure, extra={"job_id": job.id})


def _read_look(key: DueKey, now: int) -> Look | None:
    """Read the look in an item; None if its job has ended, or was moved since the index was read."""
    job = job_from_item(key.item) if key.item is not None else None
    if key.item is None or job is None or job.status.is_terminal or job.look_at is None or job.look_at > now:
        return None
    timed = key.item["live_key"]["S"] == live_key(job.id, timed=True)
    return Look(job, job.look_at, timed)


def _postpone(job: Job, postponement: Postponement) -> Job | None:
    """Move a job's next look; returns the job as it is then, or None if it was claimed, ended or moved before."""
    unchanged = (
        (JobModel.status == job.status.value) & (JobModel.fence == job.fence) & (JobModel.look_at == job.look_at)
    )
    look_at = max(postponement.look_at, clock.now_ms() + _SHORTEST_WAIT_MS)
    actions = [JobModel.look_at.set(look_at), JobModel.live_key.set(live_key(job.id, timed=postponement.timed))]
    try:
        JobModel.change(job.id, actions, unchanged)
    except ConditionRefusedError:
        return None
    return msgspec.structs.replace(job, look_at=look_at)


def _set_aside(key: DueKey) -> bool:
    """Move the look of a job that cannot be judged an hour ahead, whatever its item holds; returns whether it moved."""
    unmoved = JobModel.live_key.exists() & (JobModel.look_at == key.due_at)
    try:
        JobModel.change(key.id, [JobModel.look_at.set(clock.now_ms() + _ASIDE_MS)], unmoved)
    except ConditionRefusedError:
        return False
    return True


def _is_passing(failure: Exception) -> bool:
    """Whether the same call may succeed a minute later."""
    if isinstance(failure, ClientError):
        return classify_failure(failure) is not FailedWrite.REFUSED
    return isinstance(failure, BotoCoreError | UnavailableError)
