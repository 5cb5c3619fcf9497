"""Simulated weeks, over changes of the clock: schedules against a model, and ticks against what they must not do."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from leaseway import aws, clock
from leaseway.jobs import queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.run import claim, finish
from leaseway.tasks import AlreadyRunningError, CatchUp, Definition, Overlap, Task, change_task, create_task, start_now
from leaseway.tasks import tick as ticking
from leaseway.tasks.ahead import find_pending
from leaseway.tasks.history import HistoryEntry, page_of_history
from leaseway.tasks.schedule import schedule
from leaseway.tasks.slots import read_run, read_task
from support import tables
from support.as_function import clear_caches
from support.crontab_model import list_cron_slots, list_interval_slots
from support.fake_clock import FakeClock
from support.fuzz import count_examples

WEEKS = 3
WEEK_MS = 7 * 86_400_000
LATE_MS = 90_000
AHEAD_MS = 90_000

# Clocks change by an hour or half an hour, at night, at midnight, or for Ramadan.
zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Adelaide",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Africa/Cairo",
        "America/Havana",
        "America/Nuuk",
        "America/Santiago",
        "Asia/Beirut",
        "Atlantic/Azores",
    ]
)
# Each start is at most two weeks before a clock changes in several of the zones.
starts = st.sampled_from(
    ["2026-02-25", "2026-03-20", "2026-03-28", "2026-04-20", "2026-08-30", "2026-10-01", "2026-10-20", "2026-10-30"]
)
minutes = st.one_of(st.sampled_from(["*", "*/7", "*/30"]), st.integers(0, 59).map(str), st.just("0,30"))
hours = st.one_of(st.sampled_from(["*", "*/2"]), st.integers(0, 23).map(str), st.sampled_from(["1,2", "2,3"]))
weekdays = st.sampled_from(["*", "*", "0", "1,5", "6"])
crons = st.tuples(minutes, hours, weekdays).map(lambda parts: f"{parts[0]} {parts[1]} * * {parts[2]}")


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


@given(crons, zones, starts, st.integers(0, 86_400_000))
@settings(max_examples=count_examples(40), deadline=None)
def test_weeks_of_a_crontab_are_what_the_model_says(cron: str, zone: str, start: str, offset: int) -> None:
    begin = ms(start) + offset
    end = begin + 2 * WEEK_MS
    series, slots, moment = schedule(cron, None, zone, 0), [], begin
    while (moment := series.next_after(moment)) <= end:
        slots.append(moment)

    assert slots == list_cron_slots(cron, zone, begin, end)


@given(st.data())
# Shrinking a failure would take an hour; what is drawn is printed as it is.
@settings(
    max_examples=count_examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.reuse, Phase.generate],
)
def test_weeks_of_ticks_delays_and_crashes_lose_no_slot_and_double_none(data: Any) -> None:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        _empty_cloud(patch)
        simulation = Simulation(data, patch)
        with clock.fixed(lambda: simulation.fake_clock.seconds):
            simulation.run()


def _empty_cloud(patch: pytest.MonkeyPatch) -> None:
    clear_caches()
    for kind in (tables.jobs, tables.tasks, tables.history):
        aws.client("dynamodb").create_table(**kind(kind.__name__))
    patch.setenv("TASKS_QUEUE_URL", tables.create_queue(aws.client("sqs"), "tasks"))
    clear_caches()


class SchedulerDies(BaseException):
    """The scheduler's process ends here, whatever guards it has."""


class Simulation:
    """One task over some weeks: its clock, its workers, its ticks, and what must hold after each of them."""

    def __init__(self, data: Any, patch: pytest.MonkeyPatch) -> None:
        self.draw = data.draw
        self.patch = patch
        self.begin = ms(self.draw(starts))
        self.fake_clock = FakeClock(self.begin / 1000)
        self.cron = self.draw(st.one_of(st.none(), crons))
        self.zone = self.draw(zones) if self.cron else "UTC"
        self.seconds = self.draw(st.sampled_from([60, 90, 600, 7_200, 86_400]))
        self.leases: dict[str, Lease] = {}

    def run(self) -> None:
        definition = Definition(
            name="weekly",
            type="SLEEP",
            payload={"duration_ms": 1},
            cron=self.cron,
            every=None if self.cron else f"{self.seconds}s",
            timezone=self.zone,
            overlap=self.draw(st.sampled_from(Overlap)),
            catch_up=self.draw(st.sampled_from(CatchUp)),
            ttl_ms=self.draw(st.sampled_from([30_000, 840_000])),
        )
        with clock.fixed(lambda: self.fake_clock.seconds):
            self.task = create_task("ann", definition)
        for _ in range(self.draw(st.integers(5, 25))):
            self._step()

    def _step(self) -> None:
        self._work()
        self._pass_time()
        self._keep_alive()
        if self._tick():
            assert (self._now().next_run or 0) > self.fake_clock.ms, "a tick that did well left a slot that had come"
        self._interfere()

    def _now(self) -> Task:
        return read_task(self.task.id)

    def _last(self) -> Job | None:
        return read_run(self._now().last_job_id)

    def _pass_time(self) -> None:
        short, long = st.integers(1, 240), st.integers(3_600, 200_000)
        self.fake_clock.move(seconds=self.draw(st.one_of(short, short, long)))
        if self.draw(st.integers(0, 9)) == 0:
            self.fake_clock.move(seconds=-self.draw(st.integers(1, 7_200)))

    def _work(self) -> None:
        """A worker takes the last run, or finishes the one it has."""
        last = self._last()
        if last is None or last.status.is_terminal:
            return
        match self.draw(st.sampled_from(["claim", "complete", "fail", "nothing"])):
            case "claim":
                outcome = claim.claim(last.id, "w")
                if isinstance(outcome, claim.Claimed):
                    self.leases[last.id] = outcome.lease
            case "complete" if last.id in self.leases:
                with suppress(LeaseLostError):
                    finish.complete(self.leases[last.id], {})
            case "fail" if last.id in self.leases:
                with suppress(LeaseLostError):
                    finish.fail(self.leases[last.id], "broken")

    def _keep_alive(self) -> None:
        last = self._last()
        if last is not None and last.id in self.leases and self.draw(st.booleans()):
            with suppress(LeaseLostError):
                self.leases[last.id].extend()

    def _tick(self) -> bool:
        """One tick or several, each of which may die before or after it has written; returns whether one did well."""
        fates = self.draw(
            st.lists(st.sampled_from(["well", "well", "dies before", "dies after"]), min_size=1, max_size=3)
        )
        for fate in fates:
            with suppress(SchedulerDies), self.patch.context() as patch:
                if fate == "dies before":
                    patch.setattr(ticking, "settle_slot", _die)
                if fate == "dies after":
                    patch.setattr(queue, "send", _die)
                before = self._now()
                ticking.tick()
            self._check(before)
        return "well" in fates

    def _interfere(self) -> None:
        """A user changes the task or runs it by hand: a run that was created ahead must not stay, nor its slot go."""
        before = self._now()
        match self.draw(st.sampled_from(["nothing", "nothing", "change", "run"])):
            case "change":
                change_task(self.task.id, {"payload": {"duration_ms": self.draw(st.integers(2, 999))}})
                assert find_pending(self._now(), self.fake_clock.ms) is None
            case "run":
                with suppress(AlreadyRunningError):
                    start_now(self.task.id)
                    if before.overlap is Overlap.SKIP:
                        assert find_pending(self._now(), self.fake_clock.ms) is None
        self._count_entries(self._now())

    def _check(self, before: Task) -> None:
        after = self._now()
        entries = self._count_entries(after)
        if after.last_slot != before.last_slot:
            self._judge(before, after, entries, self.fake_clock.ms)

    def _count_entries(self, task: Task) -> list[HistoryEntry]:
        """Every slot up to the last one settled is in the history exactly once, and the next one is the next."""
        entries = [entry for entry in page_of_history(self.task.id, size=100).content if entry.slot is not None]
        settled = task.last_slot or self.begin
        self._account(entries, settled)
        assert task.next_run == self._slots(settled, settled + 2 * 31 * 86_400_000)[0]
        return entries

    def _account(self, entries: list[HistoryEntry], until: int) -> None:
        recorded: list[int] = []
        for entry in entries:
            assert entry.slot is not None
            stretch = self._slots(entry.slot - 1, entry.until or entry.slot)
            assert len(stretch) == entry.slots
            recorded += stretch
        model = self._slots(self.begin, until)
        if len(entries) < 100:  # the page holds all
            assert sorted(recorded) == model
        assert len(set(recorded)) == len(recorded)

    def _judge(self, before: Task, after: Task, entries: list[HistoryEntry], now: int) -> None:
        """What the tick did with the slots that it found."""
        assert before.next_run is not None
        due = self._slots(before.next_run - 1, max(now, before.next_run))
        assert after.last_slot == due[-1] <= now + AHEAD_MS
        runs = [entry.job for entry in entries if entry.job]
        started = after.last_job_id != before.last_job_id
        live = [job for job in runs if not job.status.is_terminal]
        if after.overlap is Overlap.SKIP:
            assert len(live) <= 1
        if started:
            (job,) = [job for job in runs if job.id == after.last_job_id]
            assert (job.slot, job.run_after) == (due[-1], due[-1] if due[-1] > now else None)
        dense = len(due) > 1 and due[-1] - due[-2] <= LATE_MS
        in_time = now - (due[0] if dense else due[-1]) <= LATE_MS
        if after.catch_up is CatchUp.NONE and not in_time:
            assert not started
            assert after.missed - before.missed == len(due)
        else:
            assert started or after.skipped == before.skipped + 1
            assert after.missed - before.missed == len(due) - 1

    def _slots(self, start: int, end: int) -> list[int]:
        if self.cron:
            return list_cron_slots(self.cron, self.zone, start, end)
        return list_interval_slots(self.seconds, self.begin, start, end)


def _die(*_: object, **__: object) -> None:
    raise SchedulerDies
