"""Runs that no worker claims, and tasks that skip or fail again and again."""

from collections.abc import Callable
from typing import Any

import pytest

from leaseway.errors import InvalidInputError
from leaseway.jobs import JobStatus
from leaseway.jobs.control.control import cancel_job, retry_job
from leaseway.jobs.job import Job
from leaseway.jobs.run import claim, finish
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.tasks import AlreadyRunningError, Overlap, Task, change_task, start_now
from leaseway.tasks.slots import read_run
from leaseway.tasks.tick import tick
from support.fake_clock import FakeClock
from support.task_runs import read_history, read_last_run, reload_task

Make = Callable[..., Task]
EXTERNAL: dict[str, Any] = {"type": "EXTERNAL", "payload": {}}


def read_again(job: Job) -> Job:
    current = read_run(job.id)
    assert current is not None
    return current


def run_once(task: Task, fake_clock: FakeClock, end: Callable[[Any], object] | None) -> None:
    """Let the next slot come, and end its run."""
    fake_clock.move(minutes=5)
    assert tick().started == 1
    if end is not None:
        outcome = claim.claim(read_last_run(task).id, "w")
        assert isinstance(outcome, claim.Claimed)
        end(outcome.lease)


def complete(lease: Any) -> None:
    finish.complete(lease, {})


def fail(lease: Any) -> None:
    finish.fail(lease, "broken", permanent=True)


def test_without_a_bound_a_run_that_nothing_claims_has_every_slot_skipped(fake_clock: FakeClock, make: Make) -> None:
    task = make(**EXTERNAL)
    run_once(task, fake_clock, None)
    for expected in (1, 2, 3):
        fake_clock.move(minutes=5)
        report = tick()
        assert (report.skipped, report.skipped_in_row, reload_task(task).skipped_in_row) == (1, expected, expected)


def test_a_run_that_nothing_claims_in_time_is_ended_by_the_next_slot(fake_clock: FakeClock, make: Make) -> None:
    # Given a task for workers that there are none of, whose runs must start within a minute
    task = make(**EXTERNAL, start_within_seconds=60)
    run_once(task, fake_clock, None)
    first = read_last_run(task)
    assert first.start_by == (task.next_run or 0) + 60_000
    # When the next slot comes
    fake_clock.move(minutes=5)
    report = tick()
    # Then it is started, and the run before was cancelled with the reason
    assert (report.started, report.skipped) == (1, 0)
    assert [entry.status for entry in read_history(task)] == ["CREATED", "CANCELLED"]
    assert read_again(first).error_message == "cancelled: no worker claimed it in time"


def test_within_its_time_such_a_run_still_keeps_the_next_one_waiting(fake_clock: FakeClock, make: Make) -> None:
    task = make(**EXTERNAL, start_within_seconds=600)
    run_once(task, fake_clock, None)
    fake_clock.move(minutes=5)
    assert tick().skipped == 1


def test_a_worker_that_comes_too_late_gets_nothing_and_ends_it(fake_clock: FakeClock, make: Make) -> None:
    task = make(**EXTERNAL, start_within_seconds=60)
    run_once(task, fake_clock, None)
    fake_clock.move(seconds=60)
    assert claim.claim(read_last_run(task).id, "w") == claim.Settled("no worker claimed it in time")
    assert read_last_run(task).status is JobStatus.CANCELLED


def test_the_sweeper_ends_a_run_that_nothing_claims_in_time(fake_clock: FakeClock, make: Make) -> None:
    # Given a run for workers that there are none of, sent again a while before its time to start ends
    task = make(**EXTERNAL, start_within_seconds=180)
    run_once(task, fake_clock, None)
    fake_clock.move(seconds=125)
    assert sweep().cancelled == 0
    # When that time has passed
    fake_clock.move(seconds=56)
    # Then the next sweep ends it
    assert (sweep().cancelled, read_last_run(task).status) == (1, JobStatus.CANCELLED)


def test_a_run_that_was_claimed_in_time_may_wait_for_its_retry(fake_clock: FakeClock, make: Make) -> None:
    # Given a run whose first attempt began in time and failed
    task = make(start_within_seconds=60)
    run_once(task, fake_clock, lambda lease: finish.fail(lease, "again", run_after=fake_clock.ms + 120_000))
    # When its retry comes after that time, then it is claimed
    fake_clock.move(seconds=121)
    assert isinstance(claim.claim(read_last_run(task).id, "w"), claim.Claimed)


def test_a_cancelled_run_that_is_retried_by_hand_waits_without_a_bound(fake_clock: FakeClock, make: Make) -> None:
    task = make(**EXTERNAL, start_within_seconds=60)
    run_once(task, fake_clock, None)
    fake_clock.move(seconds=61)
    claim.claim(read_last_run(task).id, "w")
    retry_job(read_last_run(task).id, owner="ann")
    assert isinstance(claim.claim(read_last_run(task).id, "w"), claim.Claimed)


def test_the_time_to_start_counts_from_the_run_not_from_its_creation_ahead(fake_clock: FakeClock, make: Make) -> None:
    task = make(start_within_seconds=10, jitter_seconds=600)
    fake_clock.move(minutes=5, seconds=-80)
    tick()
    job = read_last_run(task)
    assert job.start_by == (job.run_after or 0) + 10_000
    assert (job.look_at or 0) <= (job.start_by or 0)


def test_a_run_by_hand_is_bounded_too_and_blocks_no_other_afterwards(fake_clock: FakeClock, make: Make) -> None:
    task = make(**EXTERNAL, start_within_seconds=30)
    first = start_now(task.id)
    with pytest.raises(AlreadyRunningError):
        start_now(task.id)
    fake_clock.move(seconds=31)
    assert start_now(task.id).id != first.id
    assert read_again(first).status is JobStatus.CANCELLED


@pytest.mark.parametrize("seconds", [0, -1, 31 * 86_400 + 1])
def test_a_bound_out_of_bounds_is_refused(make: Make, seconds: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        make(start_within_seconds=seconds)
    assert refused.value.field == "start_within_seconds"


def test_the_bound_can_be_removed(fake_clock: FakeClock, make: Make) -> None:
    task = make(start_within_seconds=60)
    assert change_task(task.id, {"start_within_seconds": None}).start_within_seconds is None
    assert start_now(task.id).start_by is None


def test_failures_in_a_row_are_counted_until_a_run_completes(fake_clock: FakeClock, make: Make) -> None:
    # Given a task whose runs fail: each counts when the next one starts
    task = make()
    for expected in (0, 1, 2):
        run_once(task, fake_clock, fail)
        assert reload_task(task).failed_in_row == expected
    # When one completes, then the row ends with the next
    fake_clock.move(minutes=5)
    report = tick()
    assert (report.failed_in_row, reload_task(task).failed_in_row) == (3, 3)
    outcome = claim.claim(read_last_run(task).id, "w")
    assert isinstance(outcome, claim.Claimed)
    complete(outcome.lease)
    run_once(task, fake_clock, None)
    assert reload_task(task).failed_in_row == 0


@pytest.mark.parametrize("claimed", [False, True])
def test_a_run_that_a_client_cancelled_neither_counts_in_the_row_nor_ends_it(
    fake_clock: FakeClock, make: Make, claimed: bool
) -> None:
    # Given a task whose last run failed
    task = make()
    run_once(task, fake_clock, fail)
    # When a client cancels the next one, before or after a worker's claim
    run_once(task, fake_clock, (lambda _: None) if claimed else None)
    cancel_job(read_last_run(task).id, owner="ann", actor="ann")
    # Then the row is as long as before
    run_once(task, fake_clock, fail)
    assert reload_task(task).failed_in_row == 1
    # And failures go on counting
    run_once(task, fake_clock, None)
    assert reload_task(task).failed_in_row == 2


def test_a_cancelled_run_that_fails_after_a_retry_by_hand_counts(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    run_once(task, fake_clock, None)
    cancel_job(read_last_run(task).id, owner="ann", actor="ann")
    retry_job(read_last_run(task).id, owner="ann")
    outcome = claim.claim(read_last_run(task).id, "w")
    assert isinstance(outcome, claim.Claimed)
    fail(outcome.lease)
    run_once(task, fake_clock, None)
    assert reload_task(task).failed_in_row == 1


def test_a_run_by_hand_counts_in_the_row(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    run_once(task, fake_clock, fail)
    start_now(task.id)
    assert reload_task(task).failed_in_row == 1


def test_a_run_that_still_runs_beside_the_next_is_no_failure(fake_clock: FakeClock, make: Make) -> None:
    task = make(overlap=Overlap.ALLOW)
    for _ in range(3):
        run_once(task, fake_clock, None)
    assert reload_task(task).failed_in_row == 0


def test_a_started_run_ends_the_row_of_skipped_slots(fake_clock: FakeClock, make: Make) -> None:
    task = make(ttl_ms=800_000)
    run_once(task, fake_clock, None)
    outcome = claim.claim(read_last_run(task).id, "w")
    assert isinstance(outcome, claim.Claimed)
    fake_clock.move(minutes=5)
    outcome.lease.extend()
    assert (tick().skipped, reload_task(task).skipped_in_row) == (1, 1)
    complete(outcome.lease)
    run_once(task, fake_clock, complete)
    assert (reload_task(task).skipped_in_row, reload_task(task).skipped) == (0, 1)
