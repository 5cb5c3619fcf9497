"""The history of attempts: what each end leaves, and that a success leaves nothing to pay for."""

import pytest

from leaseway.jobs import Job, JobStatus, cancel_job, retry_job
from leaseway.jobs.attempts import LONGEST_ERROR, list_attempts
from leaseway.jobs.job import AttemptEnd
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.job_steps import claim_job, read_job
from support.job_steps import create_sleep_job as job

pytestmark = pytest.mark.usefixtures("cloud")


def read_ends(created: Job) -> list[tuple[int, str | None, AttemptEnd, str | None]]:
    return [(one.number, one.worker, one.end, one.error) for one in list_attempts(read_job(created))]


def test_errors_are_kept_attempt_by_attempt_with_the_success_after_them(fake_clock: FakeClock) -> None:
    created = job(max_attempts=3)
    for number in (1, 2):
        finish.fail(claim_job(created, f"w{number}"), f"boom {number}")
        fake_clock.seconds += 900
    last = claim_job(created, "w3")
    fake_clock.seconds += 1
    assert read_ends(created)[-1] == (3, "w3", AttemptEnd.RUNNING, None)
    finish.complete(last, {})

    assert read_ends(created) == [
        (1, "w1", AttemptEnd.ERROR, "boom 1"),
        (2, "w2", AttemptEnd.ERROR, "boom 2"),
        (3, "w3", AttemptEnd.COMPLETED, None),
    ]
    third = list_attempts(read_job(created))[-1]
    assert (third.ended_at or 0) - (third.started_at or 0) == 1_000


def test_a_first_success_writes_no_history() -> None:
    mine = claim_job(job())
    finish.complete(mine, {})
    assert "history" not in JobModel.read(mine.job.id)
    assert read_ends(mine.job) == [(1, "w1", AttemptEnd.COMPLETED, None)]


def test_a_takeover_records_who_crashed_and_when_the_lease_ended(fake_clock: FakeClock) -> None:
    first = claim_job(job())
    fake_clock.seconds += settings().lease_seconds + 1
    abandoned = claim.claim(first.job.id, "w2")
    assert isinstance(abandoned, claim.Abandoned)
    claim.take_over(abandoned.lease, "w2")

    assert read_ends(first.job) == [
        (1, "w1", AttemptEnd.CRASHED, "its worker died"),
        (2, "w2", AttemptEnd.RUNNING, None),
    ]
    assert list_attempts(read_job(first.job))[0].ended_at == first.until


def test_the_crash_that_was_one_too_many_is_kept_too(fake_clock: FakeClock) -> None:
    mine = claim_job(job(max_attempts=1))
    fake_clock.seconds += settings().lease_seconds + 1
    claim.claim(mine.job.id, "w2")
    assert (read_job(mine.job).status, read_ends(mine.job)) == (
        JobStatus.FAILED,
        [(1, "w1", AttemptEnd.CRASHED, "its worker died and no attempt is left")],
    )


def test_time_that_ran_out_is_kept(fake_clock: FakeClock) -> None:
    mine = claim_job(job(ttl_ms=1_000))
    fake_clock.seconds += 2
    assert finish.complete(mine, {}) is JobStatus.CANCELLED
    assert [end for _, _, end, _ in read_ends(mine.job)] == [AttemptEnd.EXPIRED]


def test_a_cancellation_ends_the_attempt_under_way_and_a_retry_keeps_what_was() -> None:
    mine = claim_job(job())
    cancel_job(mine.job.id, owner="ann", actor="root")
    retry_job(mine.job.id, owner="ann")
    finish.complete(claim_job(mine.job, "w2"), {})
    assert read_ends(mine.job) == [
        (1, "w1", AttemptEnd.CANCELLED, "cancelled by root"),
        (2, "w2", AttemptEnd.COMPLETED, None),
    ]


def test_a_job_that_no_worker_claimed_has_no_attempt() -> None:
    waiting = job()
    cancel_job(waiting.id, owner="ann", actor="ann")
    assert read_ends(waiting) == []


def test_a_worker_that_lost_its_lease_adds_nothing() -> None:
    mine = claim_job(job())
    cancel_job(mine.job.id, owner="ann", actor="ann")
    with pytest.raises(LeaseLostError):
        finish.fail(mine, "late")
    assert [end for _, _, end, _ in read_ends(mine.job)] == [AttemptEnd.CANCELLED]


def test_errors_are_cut_and_the_latest_attempts_kept(fake_clock: FakeClock) -> None:
    created = job(max_attempts=1)
    for number in range(1, 24):
        finish.fail(claim_job(created), f"{number}:" + "x" * 500)
        retry_job(created.id, owner="ann")
    attempts = read_job(created).history
    assert [one.number for one in attempts] == list(range(4, 24))
    assert {len(one.error or "") for one in attempts} == {LONGEST_ERROR}


def test_an_entry_takes_no_write_of_its_own() -> None:
    mine = claim_job(job())
    with meter_calls() as meter:
        finish.fail(mine, "boom")
    assert (meter.writes(), meter.read_units()) == (1, 0)
