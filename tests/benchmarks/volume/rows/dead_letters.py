"""Healthy jobs that the dead-letter judge fails: long jobs, each with a second message, whose attempts often fail.

A second message is received while its job runs, until it has been received `maxReceiveCount` times and is judged. If
the attempt has failed just then, its job is due and waits a moment for a worker.
"""

import heapq
import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Protocol
from unittest.mock import patch

import msgspec

from benchmarks.volume.memory_table import MemoryTable
from benchmarks.volume.row import Outcome, Row
from leaseway import clock
from leaseway.jobs import Job, Options, create_job, queue
from leaseway.jobs.lease import Lease
from leaseway.jobs.queue import JobMessage, Outgoing
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel, job_from_item
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.logs import log
from leaseway.settings import settings

JOBS = 10_000
MAX_RECEIVES = 20
START = 1_700_000_000.0
LEASE_SECONDS, HEARTBEAT_SECONDS, MARGIN_SECONDS = 30, 10, 5
BACKOFF_CAP_SECONDS = 300
RUN_SECONDS = (480, 780)
LONGEST_WAIT_SECONDS, LONGEST_WAIT_AGAIN_SECONDS = 40, 5
"""A new message waits behind the queue's backlog, from nothing up to this; one that appears again is its oldest."""

ERROR_SHARE, CRASH_SHARE = 0.5, 0.02
GIVEN_BACK = 0.9
"""Share of the deliveries that workers give back at once now: one that receives more while it runs has too little time
left for long jobs. So messages become dead letters although their duplicates are deleted."""

ENVIRONMENT = {
    "JOBS_TABLE": "jobs",
    "EXECUTORS_PACKAGE": "worker.executors",
}


class Message(msgspec.Struct):
    """A message on its way, and how often it was received."""

    id: str
    body: JobMessage
    receives: int = 0


class Tally(msgspec.Struct):
    """What a simulation counts."""

    failed_attempts: int = 0
    failed_jobs: int = 0
    """By the judge."""
    lost_jobs: int = 0
    """Neither ended, nor in a message."""
    judged: int = 0

    def to_outcome(self) -> Outcome:
        """Print it as the table does."""
        text = f"{self.failed_jobs:,} after {self.failed_attempts:,} failed attempts, {self.judged:,} dead letters"
        return Outcome(self.failed_jobs + self.lost_jobs, f"{text}, {self.lost_jobs} lost" if self.lost_jobs else text)


class Side(Protocol):
    """The code or the policy that moves one job."""

    def receive(self, message: Message) -> None:
        """Deliver a message to a worker."""

    def judge(self, message: Message) -> LetterVerdict:
        """Judge a message that was received too often."""


class Timeline:
    """What happens to one job, in its order."""

    def __init__(self, chance: random.Random, tally: Tally) -> None:
        self.now = 0.0
        self.chance = chance
        self.tally = tally
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Let something happen at a moment, or now if that has passed."""
        heapq.heappush(self._events, (max(self.now, moment), next(self._numbers), event))

    def show(self, message: Message, moment: float, side: Side) -> None:
        """Let a message be visible from a moment on: then it waits for a worker, or is a dead letter."""
        longest = LONGEST_WAIT_AGAIN_SECONDS if message.receives else LONGEST_WAIT_SECONDS
        self.at(moment + self.chance.uniform(0, longest), lambda: self._hand_out(message, side))

    def _hand_out(self, message: Message, side: Side) -> None:
        if message.receives < MAX_RECEIVES:
            message.receives += 1
            side.receive(message)
            return
        self.tally.judged += 1
        self.tally.failed_jobs += side.judge(message) is LetterVerdict.FAILED

    def run(self) -> None:
        """Let everything happen."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def draw_end(self) -> tuple[float, str]:
        """Draw how long an attempt runs, and how it ends."""
        luck = self.chance.random()
        end = "crash" if luck < CRASH_SHARE else "error" if luck < CRASH_SHARE + ERROR_SHARE else "success"
        return self.chance.uniform(*RUN_SECONDS), end


# ---- At 883dc55: a message of a held job is hidden until the lease ends, and a due job of a dead letter is FAILED ----


class _Before:
    def __init__(self, time: Timeline) -> None:
        self._time = time
        self._attempts = 0
        self._due = 0.0
        self._held_since: float | None = None
        self._ended = False
        for number in range(2):
            self._show(0.0, str(number))

    def _show(self, moment: float, name: str) -> None:
        self._time.show(Message(name, JobMessage("job", 1)), moment, self)

    def _lease_end(self, held_since: float) -> float:
        beats = (self._time.now - held_since) // HEARTBEAT_SECONDS
        return held_since + beats * HEARTBEAT_SECONDS + LEASE_SECONDS + MARGIN_SECONDS

    def receive(self, message: Message) -> None:
        if self._ended:
            return
        if self._held_since is not None:
            self._time.show(message, self._lease_end(self._held_since), self)
        elif self._due > self._time.now:
            self._time.show(message, self._due, self)
        else:
            self._attempts += 1
            self._held_since = self._time.now
            seconds, end = self._time.draw_end()
            self._time.at(self._time.now + seconds, lambda: self._end(end, message))

    def _end(self, end: str, message: Message) -> None:
        held_since, self._held_since = self._held_since, None
        if end == "crash" and held_since is not None:
            self._time.show(message, self._lease_end(held_since), self)
            return
        self._ended = end == "success"
        if not self._ended:
            self._time.tally.failed_attempts += 1
            step = min(BACKOFF_CAP_SECONDS, 2 ** (self._attempts - 1))
            self._due = self._time.now + self._time.chance.uniform(step / 2, step)
            self._show(self._due, f"retry-{self._attempts}")

    def judge(self, message: Message) -> LetterVerdict:
        if self._ended:
            return LetterVerdict.DROPPED
        if self._held_since is not None or self._due > self._time.now:
            moment = self._due if self._held_since is None else self._lease_end(self._held_since)
            self._show(moment, f"{message.id}-afresh")
            return LetterVerdict.SENT_AFRESH
        self._ended = True
        return LetterVerdict.FAILED


# ---- Now: the shipped claim, ends and judge, on the table's real conditions ------------------------------------------


class _Now:
    def __init__(self, time: Timeline) -> None:
        self._time = time
        self._numbers = count()
        self._lease: Lease | None = None
        self._beaten_at = 0.0
        self._patches = ExitStack()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Catch what the shipped code sends, and let it live in the timeline."""
        with patch.object(queue, "_send_all", self._send), clock.fixed(lambda: START + self._time.now):
            yield

    def create(self) -> Job:
        """Create the job, and send it a second message as the sweeper does."""
        job = create_job("ann", "SLEEP", {"duration_ms": 1}, Options(ttl_ms=840_000, max_attempts=20))
        queue.send([queue.build_message(job)])
        return job

    def _send(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        for each in outgoing:
            body = queue.parse(msgspec.json.encode(each.message).decode())
            message = Message(f"{each.message.job_id}-{next(self._numbers)}", body)
            self._time.show(message, self._time.now + each.delay_seconds, self)
        return []

    def receive(self, message: Message) -> None:
        if self._time.chance.random() < GIVEN_BACK:
            self._time.show(message, self._time.now, self)
            return
        self._beat()
        match claim.claim(message.body.job_id, "worker", message_id=message.id):
            case claim.Claimed(lease):
                self._begin(lease, message)
            case claim.Abandoned(abandoned):
                takeover = claim.take_over(abandoned, "worker", message_id=message.id)
                if isinstance(takeover, claim.Claimed):
                    self._begin(takeover.lease, message)
            case claim.NotYet(until, is_duplicate=False):
                self._time.show(message, until / 1000 - START, self)

    def _begin(self, lease: Lease, message: Message) -> None:
        self._lease, self._beaten_at = lease, self._time.now
        seconds, end = self._time.draw_end()
        self._time.at(self._time.now + seconds, lambda: self._end(end, message))

    def _beat(self) -> None:
        """Send the worker's latest heartbeat. Earlier ones are left out: only now is the lease read."""
        if self._lease is None:
            return
        beats = (self._time.now - self._beaten_at) // HEARTBEAT_SECONDS
        self._beaten_at += beats * HEARTBEAT_SECONDS
        with clock.fixed(lambda: START + self._beaten_at):
            self._lease = self._lease.extend()

    def _end(self, end: str, message: Message) -> None:
        self._beat()
        lease, self._lease = self._lease, None
        assert lease is not None
        if end == "crash":
            self._time.show(message, lease.until / 1000 - START + MARGIN_SECONDS, self)
        elif end == "success":
            finish.complete(lease, {})
        else:
            self._time.tally.failed_attempts += 1
            finish.fail(lease, "boom")

    def judge(self, message: Message) -> LetterVerdict:
        self._beat()
        return judge(msgspec.json.encode(message.body).decode())


@contextmanager
def _deployment() -> Iterator[MemoryTable]:
    """The table of jobs, and nothing in the log."""
    previous, table = log.level, MemoryTable()
    log.setLevel(logging.CRITICAL)
    with patch.dict(os.environ, ENVIRONMENT), table.stands_in_for(JobModel):
        settings.cache_clear()
        yield table
    settings.cache_clear()
    log.setLevel(previous)


def _simulate_before(scale: float) -> Outcome:
    tally = Tally()
    random.seed(0)
    for number in range(round(JOBS * scale)):
        time = Timeline(random.Random(number), tally)
        _Before(time)
        time.run()
    return tally.to_outcome()


def simulate_now(jobs: int) -> Tally:
    """Simulate so many jobs with the shipped code."""
    tally = Tally()
    with _deployment() as table:
        random.seed(0)
        for number in range(jobs):
            time = Timeline(random.Random(number), tally)
            side = _Now(time)
            with side.in_place():
                job = side.create()
                time.run()
                last = job_from_item(table.items.pop(job.id))
            tally.lost_jobs += last is None or not last.status.is_terminal
    return tally


ROW = Row(
    number=6,
    what="healthy jobs failed by the dead-letter judge, 10,000 long jobs with duplicates",
    target="0",
    is_reached=lambda failed: failed == 0,
    before=_simulate_before,
    now=lambda scale: simulate_now(round(JOBS * scale)).to_outcome(),
)
