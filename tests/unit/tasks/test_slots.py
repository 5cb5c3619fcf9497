"""Slots become runs: once each, never beside each other, and what was not run is recorded."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from leaseway import aws, clock
from leaseway.jobs import JobStatus, UnknownJobTypeError, queue
from leaseway.jobs.job import Job
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.queue_names import TASKS
from leaseway.jobs.run import claim, finish
from leaseway.jobs.run.claim import Claimed
from leaseway.jobs.table import JobModel
from leaseway.settings import settings
from leaseway.tasks import (
    AlreadyRunningError,
    CatchUp,
    Overlap,
    Task,
    TaskNotFoundError,
    change_task,
    slots,
    start_now,
)
from leaseway.tasks.model import TaskModel, slot_job_id
from leaseway.tasks.plan import Verdict
from leaseway.tasks.runs import jitter_ms
from leaseway.tasks.tick import tick
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.task_runs import count_jobs, read_history, read_last_run, read_runs, reload_task

MINUTE = 60_000


def run(job: Job, worker: str = "w1") -> Lease:
    outcome = claim.claim(job.id, worker)
    assert isinstance(outcome, Claimed)
    return outcome.lease


def run_to_the_end(job: Job) -> None:
    finish.complete(run(job), {})


def waiting_messages() -> int:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=TASKS.url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesDelayed"])


def test_a_slot_that_has_come_becomes_one_job_with_its_message(
    fake_clock: FakeClock, make: Callable[..., Task]
) -> None:
    # Given a five-minutely task
    task = make()
    # When ticks come before and after its slot
    early = tick()
    fake_clock.move(minutes=5)
    late, again_late = tick(), tick()
    # Then one of them started the slot's run
    assert (early.due, late.started, again_late.due) == (0, 1, 0)
    job = read_last_run(task)
    assert (job.id, job.task_id, job.slot) == (slot_job_id(task.id, task.next_run), task.id, task.next_run)
    assert (job.owner, job.status, waiting_messages()) == ("ann", JobStatus.CREATED, 1)
    assert reload_task(task).next_run == task.next_run + 5 * MINUTE


def test_ticks_that_read_the_same_state_start_each_slot_once(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given ten due tasks, and five ticks that have all read them as they are now
    tasks = [make() for _ in range(10)]
    fake_clock.move(minutes=5)
    outcomes = [slots.settle_slot(task, None) for task, _ in itertools.product(tasks, range(5))]
    # Then there are ten jobs, one a slot
    started = [outcome.job.id for outcome in outcomes if outcome.job]
    assert len(started) == len(set(started)) == count_jobs() == 10


@pytest.mark.parametrize(("catch_up", "runs", "missed"), [(CatchUp.LATEST, 1, 2), (CatchUp.NONE, 0, 3)])
def test_two_minutes_without_ticks(
    fake_clock: FakeClock, make: Callable[..., Task], catch_up: CatchUp, runs: int, missed: int
) -> None:
    # Given a minutely task whose last tick was three minutes ago
    task = make(every="60s", catch_up=catch_up)
    fake_clock.move(minutes=3)
    # When a tick comes
    report = tick()
    # Then the stretch has one run or none, the history has the rest, and the schedule goes on
    assert (report.started, report.missed, count_jobs()) == (runs, missed, runs)
    assert sum(entry.slots for entry in read_history(task) if entry.status == "MISSED") == missed
    assert (reload_task(task).missed, reload_task(task).next_run) == (missed, fake_clock.ms + MINUTE)


@pytest.mark.parametrize(("age", "runs"), [(90, 1), (91, 0)])
def test_without_catch_up_a_slot_runs_while_a_tick_may_still_be_on_its_way(
    fake_clock: FakeClock, make: Callable[..., Task], age: int, runs: int
) -> None:
    make(catch_up=CatchUp.NONE)
    fake_clock.move(minutes=5, seconds=age)
    assert (tick().started, tick().started) == (runs, 0)


def test_without_catch_up_a_fresh_slot_after_an_outage_of_days_is_run(
    fake_clock: FakeClock, make: Callable[..., Task]
) -> None:
    task = make(every="1h", catch_up=CatchUp.NONE)
    fake_clock.move(hours=49, seconds=30)
    report = tick()
    assert (report.started, report.missed) == (1, 48)
    assert read_last_run(task).slot == fake_clock.ms - 30_000


def test_a_clock_that_goes_back_starts_nothing_again(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make()
    fake_clock.move(minutes=5)
    tick()
    run_to_the_end(read_last_run(task))
    # When the clock falls back an hour, and ticks come until it is where it was
    fake_clock.move(hours=-1)
    for _ in range(60):
        assert tick().started == 0
        fake_clock.move(minutes=1)
    # Then the next slot is the next that starts
    fake_clock.move(minutes=5)
    assert (tick().started, count_jobs()) == (1, 2)


def test_under_skip_a_slot_passes_while_the_last_run_is_at_work(
    fake_clock: FakeClock, make: Callable[..., Task]
) -> None:
    task = make(ttl_ms=800_000)
    fake_clock.move(minutes=5)
    tick()
    first = run(read_last_run(task))
    for _ in range(2):
        fake_clock.move(minutes=5)
        first.extend()
        assert tick().skipped == 1
    finish.complete(first, {})
    fake_clock.move(minutes=5)
    # Then the slot after its end is started, and the history has all four
    assert tick().started == 1
    assert [entry.status for entry in read_history(task)] == ["CREATED", "SKIPPED", "SKIPPED", "COMPLETED"]
    assert reload_task(task).skipped == 2


def test_under_skip_a_run_that_waits_for_a_worker_is_not_doubled(
    fake_clock: FakeClock, make: Callable[..., Task]
) -> None:
    make()
    fake_clock.move(minutes=5)
    tick()
    fake_clock.move(minutes=5)
    assert (tick().skipped, count_jobs()) == (1, 1)


def test_under_allow_every_slot_is_started(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    make(overlap=Overlap.ALLOW)
    for _ in range(3):
        fake_clock.move(minutes=5)
        assert tick().started == 1
    assert count_jobs() == 3


def test_a_dead_run_holds_nothing_up_longer_than_its_lease(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given a run whose worker died, and whose job no worker took over
    task = make(every="60s", ttl_ms=800_000)
    fake_clock.move(minutes=1)
    tick()
    dead = run(read_last_run(task))
    # When the next slot comes, a lease and the time of a takeover later
    fake_clock.move(minutes=1)
    assert tick().started == 1
    # Then the dead run is over, and a worker that comes to life again changes nothing
    over = next(job for job in read_runs(task) if job.id == dead.job.id)
    assert (over.status, over.crashes) == (JobStatus.CANCELLED, 1)
    assert "its worker died" in (over.error_message or "")
    with pytest.raises(LeaseLostError):
        finish.complete(dead, {})
    assert isinstance(claim.claim(dead.job.id, "w2"), claim.Settled)


def test_a_run_that_is_just_being_taken_over_holds_its_place(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make(every="60s", ttl_ms=800_000)
    fake_clock.move(minutes=1)
    tick()
    dead = run(read_last_run(task))
    fake_clock.move(seconds=50)
    abandoned = claim.claim(dead.job.id, "w2")
    assert isinstance(abandoned, claim.Abandoned)
    # Given a tick that read the dead run before another worker took it over
    fake_clock.move(seconds=10)
    read = reload_task(task), read_last_run(task)
    assert isinstance(claim.take_over(abandoned.lease, "w2"), Claimed)
    # When it settles the slot
    outcome = slots.settle_slot(*read)
    # Then the slot is skipped: the run is alive
    assert outcome.verdict is Verdict.SKIPPED
    assert read_last_run(task).status is JobStatus.RUNNING


def test_a_run_past_its_time_to_live_holds_nothing_up(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make(every="60s", ttl_ms=40_000)
    fake_clock.move(minutes=1)
    tick()
    first = run(read_last_run(task))
    fake_clock.move(seconds=30)
    first.extend()
    fake_clock.move(seconds=30)
    assert tick().started == 1
    assert {job.id: job.status for job in read_runs(task)}[first.job.id] is JobStatus.CANCELLED


def test_a_run_started_by_hand_and_a_tick_exclude_each_other(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given a due task, read by a tick
    task = make()
    fake_clock.move(minutes=5)
    # When a user is quicker and starts it by hand
    by_hand = start_now(task.id)
    outcome = slots.settle_slot(task, None)
    # Then the slot is skipped, and there is one job
    assert (outcome.verdict, count_jobs()) == (Verdict.SKIPPED, 1)
    assert (read_last_run(task).id, by_hand.slot, waiting_messages()) == (by_hand.id, None, 1)


def test_a_running_task_is_not_started_by_hand(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make()
    first = start_now(task.id)
    with pytest.raises(AlreadyRunningError) as refused:
        start_now(task.id)
    assert refused.value.facts == {"job_id": first.id}
    run_to_the_end(first)
    assert start_now(task.id).id != first.id


def test_a_task_that_overlaps_is_started_by_hand_any_time(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make(overlap=Overlap.ALLOW, enabled=False)
    assert start_now(task.id).id != start_now(task.id).id


def test_a_task_that_is_not_there_is_not_started(fake_clock: FakeClock) -> None:
    with pytest.raises(TaskNotFoundError):
        start_now("0" * 32)


def test_a_retried_run_keeps_its_place(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given a run that has ended, read by a tick, and retried by hand at that moment
    task = make()
    fake_clock.move(minutes=5)
    tick()
    run_to_the_end(read_last_run(task))
    fake_clock.move(minutes=5)
    read = reload_task(task), read_last_run(task)
    JobModel.change(read[1].id, [JobModel.status.set("CREATED")], JobModel.id.exists())
    # When the tick settles the slot, it finds the run alive
    assert slots.settle_slot(*read).verdict is Verdict.SKIPPED


def test_jitter_delays_a_run_by_the_same_time_at_each_call(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    task = make(jitter_seconds=120)
    fake_clock.move(minutes=5)
    tick()
    job = read_last_run(task)
    assert job.run_after is None or 0 < job.run_after - job.slot <= 120_000
    spread = {jitter_ms(task, slot) for slot in range(200)}
    assert len(spread) > 150
    assert all(0 <= delay <= 120_000 for delay in spread)


def test_a_slot_whose_job_exists_is_passed_over(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given a task whose table was restored to a moment before its last slot
    task = make()
    fake_clock.move(minutes=5)
    tick()
    back = [TaskModel.next_run.set(task.next_run), TaskModel.last_job_id.remove()]
    TaskModel.change(task.id, back, TaskModel.id.exists())
    # When a tick comes
    report = tick()
    # Then the slot is not run again, and the schedule goes on
    assert (report.started, count_jobs()) == (0, 1)
    assert reload_task(task).next_run > fake_clock.ms


def test_a_lost_message_is_the_sweepers_to_send(
    fake_clock: FakeClock, make: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a tick that dies between the transaction and the message
    make()
    fake_clock.move(minutes=5)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "send", lambda _: 0)
        tick()
    assert waiting_messages() == 0
    # When the sweeper comes
    from leaseway.jobs.upkeep.sweep import sweep

    fake_clock.move(minutes=3)
    sweep()
    # Then the run has its message
    assert waiting_messages() == 1


class _LosesAnswers:
    """A client whose first transaction is written and whose answer is lost."""

    def __init__(self, client: Any, lost: int) -> None:
        self._client, self._lost = client, lost

    def transact_write_items(self, **request: Any) -> Any:
        answer = self._client.transact_write_items(**request)
        if self._lost:
            self._lost -= 1
            raise ConnectionClosedError(endpoint_url="dynamodb")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_lost_answer_starts_the_slot_once(
    fake_clock: FakeClock, make: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    fake_clock.move(minutes=5)
    real = aws.client
    losing = _LosesAnswers(real("dynamodb", attempts=1), lost=1)
    monkeypatch.setattr(
        aws, "client", lambda name, attempts=3: losing if attempts == 1 else real(name, attempts=attempts)
    )
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    report = tick()
    assert (report.started + report.raced, count_jobs()) == (1, 1)


def test_what_a_slot_costs(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    # Given a task with a finished run
    task = make()
    fake_clock.move(minutes=5)
    tick()
    run_to_the_end(read_last_run(task))
    fake_clock.move(minutes=5)
    # When the next slot is settled
    with meter_calls() as meter:
        assert tick().started == 1
    # Then it is one transaction of four items, and reads of what is due
    assert meter.count("dynamodb", "TransactWriteItems") == 1
    assert (meter.write_units("jobs"), meter.write_units("tasks"), meter.write_units("history")) == (6, 4, 3)
    assert meter.count("dynamodb", "Query") == settings().due_shards
    assert meter.count("sqs") == 1


def test_a_tick_with_nothing_due_reads_one_query_a_shard(fake_clock: FakeClock, make: Callable[..., Task]) -> None:
    for _ in range(20):
        make()
    with meter_calls() as meter:
        tick()
    assert meter.operations() == {"dynamodb.Query": settings().due_shards}
    assert meter.keys() == 0


def test_a_tick_stops_at_its_budget_and_reports_it(
    fake_clock: FakeClock, make: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_ITEMS", "3")
    settings.cache_clear()
    for _ in range(5):
        make()
    fake_clock.move(minutes=5)
    first, second = tick(), tick()
    assert (first.started, first.left, second.started, second.left) == (3, True, 2, False)
    assert first.lag_ms == 0


def test_a_tick_says_that_tasks_are_left_even_if_all_are_in_one_shard(
    fake_clock: FakeClock, make: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_ITEMS", "2")
    monkeypatch.setenv("DUE_SHARDS", "1")
    settings.cache_clear()
    for _ in range(3):
        make()
    fake_clock.move(minutes=5)
    assert (tick().left, tick().left) == (True, False)


def test_a_task_whose_type_is_retired_can_still_be_paused(make: Callable[..., Task]) -> None:
    task = make()
    TaskModel.change(task.id, [TaskModel.type.set("GONE")], TaskModel.id.exists())
    assert change_task(task.id, {"enabled": False}).next_run is None
    with pytest.raises(UnknownJobTypeError):
        change_task(task.id, {"enabled": True})
