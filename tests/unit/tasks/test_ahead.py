"""Runs that are created ahead of their slot: they start at their time, and until then a change takes them back."""

from collections.abc import Callable

import pytest

from leaseway.jobs import JobStatus
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.tasks import (
    AlreadyRunningError,
    Overlap,
    Task,
    change_task,
    definitions,
    delete_task,
    slots,
    start_now,
)
from leaseway.tasks.model import slot_job_id
from leaseway.tasks.overview import standing_of
from leaseway.tasks.tick import tick
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.task_runs import count_jobs, read_history, read_last_run, reload_task

Make = Callable[..., Task]
MINUTE = 60_000


@pytest.fixture
def task_ahead(fake_clock: FakeClock, make: Make) -> Task:
    """A five-minutely task whose first run was created 30 s ahead of its slot."""
    task = make(payload={"duration_ms": 1})
    fake_clock.move(minutes=4, seconds=30)
    assert tick().started == 1
    return task


def test_a_run_starts_at_its_slot_and_no_earlier(task_ahead: Task, fake_clock: FakeClock) -> None:
    # Given a run that was created 30 s ahead
    job = read_last_run(task_ahead)
    assert (job.slot, job.run_after, job.created_at) == (task_ahead.next_run, task_ahead.next_run, fake_clock.ms)
    # When a worker has its message too early, then it has to wait
    fake_clock.move(seconds=29)
    early = claim.claim(job.id, "w")
    assert isinstance(early, claim.NotYet)
    assert early.until == task_ahead.next_run
    # When the slot comes, then it has the job
    fake_clock.move(seconds=1)
    assert isinstance(claim.claim(job.id, "w"), claim.Claimed)
    # And no tick starts another
    assert (tick().started, count_jobs()) == (0, 1)


def test_a_slot_further_ahead_waits_for_the_next_tick(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    fake_clock.move(minutes=5, seconds=-91)
    assert tick().due == 0
    fake_clock.move(seconds=1)
    assert (tick().started, reload_task(task).last_slot) == (1, task.next_run)


def test_a_tick_that_knows_of_a_slot_too_early_leaves_it(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    assert slots.settle_slot(task, None).job is None
    assert count_jobs() == 0


def test_the_next_run_of_a_task_is_the_one_that_is_about_to_start(task_ahead: Task, fake_clock: FakeClock) -> None:
    assert standing_of(task_ahead.id, owner=None).next_run == task_ahead.next_run
    fake_clock.move(seconds=31)
    assert standing_of(task_ahead.id, owner=None).next_run == (task_ahead.next_run or 0) + 5 * MINUTE


def test_while_the_last_run_is_at_work_its_end_is_awaited_up_to_the_slot(fake_clock: FakeClock, make: Make) -> None:
    # Given a minutely task whose run is at work 20 s before the next slot
    task = make(every="60s", ttl_ms=800_000)
    fake_clock.move(minutes=1)
    tick()
    outcome = claim.claim(read_last_run(task).id, "w")
    assert isinstance(outcome, claim.Claimed)
    fake_clock.move(seconds=40)
    # Then the slot is not skipped ahead of its time
    report = tick()
    assert (report.deferred, report.skipped, reload_task(task).skipped) == (1, 0, 0)
    # When the run is still at work at its slot, then it is
    fake_clock.move(seconds=21)
    outcome.lease.extend()
    assert tick().skipped == 1


def pause(task: Task) -> None:
    change_task(task.id, {"enabled": False})


def delete(task: Task) -> None:
    delete_task(task.id)


@pytest.mark.parametrize("stop", [pause, delete])
def test_a_task_that_is_stopped_before_its_slot_does_not_run(
    task_ahead: Task, fake_clock: FakeClock, stop: Callable[[Task], None]
) -> None:
    job = read_last_run(task_ahead)
    stop(task_ahead)
    # Then the run is gone, as if it had never been created
    assert (count_jobs(), read_history(task_ahead)) == (0, [])
    fake_clock.move(seconds=31)
    assert claim.claim(job.id, "w") == claim.Settled("gone")
    assert (tick().started, count_jobs()) == (0, 0)


def test_a_change_before_the_slot_is_what_runs_at_the_slot(task_ahead: Task, fake_clock: FakeClock) -> None:
    # Given a run that was created ahead
    slot = task_ahead.next_run
    # When the payload is changed before the slot
    changed = change_task(task_ahead.id, {"payload": {"duration_ms": 2}})
    # Then the slot is to come again, and its one run has the new payload
    assert (changed.next_run, changed.last_job_id, reload_task(task_ahead)) == (slot, None, changed)
    assert tick().started == 1
    job = read_last_run(task_ahead)
    assert (job.id, job.slot, job.payload) == (slot_job_id(task_ahead.id, slot or 0), slot, {"duration_ms": 2})
    assert [entry.job and entry.job.id for entry in read_history(task_ahead)] == [job.id]


def test_another_schedule_before_the_slot_takes_the_run_back(task_ahead: Task, fake_clock: FakeClock) -> None:
    changed = change_task(task_ahead.id, {"every": "7m"})
    assert (changed.next_run, count_jobs()) == (fake_clock.ms + 7 * MINUTE, 0)


def test_a_run_that_has_started_is_left_alone(task_ahead: Task, fake_clock: FakeClock) -> None:
    # Given a worker whose clock is ahead, which has the run already
    running = [JobModel.status.set(JobStatus.RUNNING), JobModel.fence.set(1)]
    JobModel.change(read_last_run(task_ahead).id, running, JobModel.id.exists())
    # When the task is changed
    changed = change_task(task_ahead.id, {"payload": {"duration_ms": 2}})
    # Then its slot stays settled
    assert (changed.last_slot, changed.next_run) == (task_ahead.next_run, (task_ahead.next_run or 0) + 5 * MINUTE)
    assert count_jobs() == 1


def test_a_claim_between_the_read_and_the_pause_wins(
    task_ahead: Task, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a pause that has read the run as still to start, when its worker claims it
    job = read_last_run(task_ahead)
    real = JobModel.read

    def read(key: str, **options: bool) -> object:
        item = real(key, **options)
        fake_clock.move(seconds=30)
        monkeypatch.undo()
        assert isinstance(claim.claim(job.id, "w"), claim.Claimed)
        fake_clock.move(seconds=-30)
        return item

    with monkeypatch.context():
        monkeypatch.setattr(JobModel, "read", read)
        pause(task_ahead)
    # Then the task is paused, and the run goes on
    assert reload_task(task_ahead).next_run is None
    assert read_last_run(task_ahead).status is JobStatus.RUNNING


def test_a_run_that_its_owner_cancelled_before_the_slot_is_not_created_again(
    task_ahead: Task, fake_clock: FakeClock
) -> None:
    JobModel.change(read_last_run(task_ahead).id, [JobModel.status.set(JobStatus.CANCELLED)], JobModel.id.exists())
    assert change_task(task_ahead.id, {"payload": {"duration_ms": 2}}).last_slot == task_ahead.next_run
    fake_clock.move(seconds=31)
    assert (tick().started, count_jobs()) == (0, 1)


def test_run_now_takes_the_place_of_a_run_that_is_about_to_start(task_ahead: Task, fake_clock: FakeClock) -> None:
    # Given a task that does not overlap, 30 s before its slot
    slot = task_ahead.next_run
    # When it is run by hand
    by_hand = start_now(task_ahead.id)
    # Then this is its only run, and the slot is still to come
    assert (count_jobs(), reload_task(task_ahead).last_job_id, reload_task(task_ahead).next_run) == (
        1,
        by_hand.id,
        slot,
    )
    with pytest.raises(AlreadyRunningError):
        start_now(task_ahead.id)
    # When the slot comes during that run, then it is skipped
    fake_clock.move(seconds=31)
    assert tick().skipped == 1


def test_run_now_beside_a_run_that_is_about_to_start_if_the_task_overlaps(fake_clock: FakeClock, make: Make) -> None:
    task = make(overlap=Overlap.ALLOW)
    fake_clock.move(minutes=4, seconds=30)
    tick()
    by_hand = start_now(task.id)
    assert count_jobs() == 2
    # When it is paused before the slot, then the run by hand stays
    pause(task)
    assert (count_jobs(), reload_task(task).last_job_id) == (1, by_hand.id)


def test_the_run_before_is_the_last_one_again(task_ahead: Task, fake_clock: FakeClock) -> None:
    first = read_last_run(task_ahead)
    fake_clock.move(seconds=30)
    outcome = claim.claim(first.id, "w")
    assert isinstance(outcome, claim.Claimed)
    finish.complete(outcome.lease, {})
    fake_clock.move(minutes=4, seconds=30)
    assert tick().started == 1
    pause(task_ahead)
    assert reload_task(task_ahead).last_job_id == first.id


def test_a_tick_between_the_read_and_the_change_is_taken_back_too(
    fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a change that has read the task before a tick creates its run ahead
    task = make()
    fake_clock.move(minutes=4, seconds=30)
    real, reads = definitions.read_task, []

    def read(task_id: str) -> Task:
        task = real(task_id)
        if not reads:
            reads.append(tick().started)
        return task

    monkeypatch.setattr(definitions, "read_task", read)
    change_task(task.id, {"payload": {"duration_ms": 2}})
    # Then no run of the old definition is left
    assert (reads, count_jobs()) == ([1], 0)


def test_a_change_costs_as_before_unless_a_run_is_about_to_start(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    with meter_calls() as meter:
        change_task(task.id, {"payload": {"duration_ms": 2}})
    assert meter.operations() == {"dynamodb.GetItem": 1, "dynamodb.UpdateItem": 1}


def test_only_one_run_is_created_ahead(fake_clock: FakeClock, make: Make) -> None:
    # Given a minutely task that overlaps, with two slots within the time ahead
    task = make(every="60s", overlap=Overlap.ALLOW)
    fake_clock.move(seconds=31)
    assert [tick().started for _ in range(3)] == [1, 0, 0]
    # When it is paused, then nothing is left to run
    pause(task)
    assert count_jobs() == 0
