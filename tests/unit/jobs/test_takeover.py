"""A worker's death costs its job an attempt, and none of the next attempt's time."""

import msgspec
import pytest

from leaseway.jobs import Job, JobStatus, Options, create_job
from leaseway.jobs.job import AttemptEnd
from leaseway.jobs.queue import JobMessage
from leaseway.jobs.run.claim import Abandoned, Claimed, NotYet, Settled, claim, take_over
from leaseway.jobs.run.finish import complete
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.pool import Pool
from leaseway.settings import settings
from support.fake_clock import FakeClock
from support.job_steps import claim_job, read_job

pytestmark = pytest.mark.usefixtures("cloud")

TTL_SECONDS = 60


def make() -> Job:
    return create_job("ann", "SLEEP", {"duration_ms": 1}, Options(ttl_ms=TTL_SECONDS * 1_000))


def run_until(seconds: float, fake_clock: FakeClock, job: Job) -> None:
    """Claim the job, and let its worker die after its last heartbeat, so many seconds later."""
    outcome = claim(job.id, "dead", message_id="m")
    assert isinstance(outcome, Claimed)
    fake_clock.move(seconds=seconds)
    outcome.lease.extend()


@pytest.mark.parametrize("heartbeat", [0, 29, 31, 59])
@pytest.mark.parametrize("noticed", [36, 60, 600])
def test_a_job_whose_worker_died_before_its_deadline_is_taken_over_whenever_that_is_noticed(
    fake_clock: FakeClock, heartbeat: int, noticed: int
) -> None:
    job = make()
    run_until(heartbeat, fake_clock, job)
    fake_clock.move(seconds=noticed)

    abandoned = claim(job.id, "next", message_id="m")
    assert isinstance(abandoned, Abandoned)
    taken_over = take_over(abandoned.lease, "next", message_id="m")
    assert isinstance(taken_over, Claimed)
    fake_clock.move(seconds=TTL_SECONDS - 1)

    assert complete(taken_over.lease, {}) is JobStatus.COMPLETED
    assert [attempt.end for attempt in read_job(job).history] == [AttemptEnd.CRASHED]


def test_a_job_whose_worker_died_in_the_last_lease_of_the_last_attempt_is_failed_with_that_reason(
    fake_clock: FakeClock,
) -> None:
    job = create_job("ann", "SLEEP", {"duration_ms": 1}, Options(ttl_ms=TTL_SECONDS * 1_000, max_attempts=1))
    run_until(40, fake_clock, job)
    fake_clock.move(seconds=31)

    reason = "its worker died and no attempt is left"
    assert claim(job.id, "next", message_id="m") == Settled(reason)
    assert (read_job(job).status, read_job(job).error_message) == (JobStatus.FAILED, reason)
    assert [attempt.end for attempt in read_job(job).history] == [AttemptEnd.CRASHED]


def test_a_living_worker_cancels_its_job_after_the_deadline_itself(fake_clock: FakeClock) -> None:
    """No other worker does, as long as its lease lasts."""
    lease = claim_job(make())
    fake_clock.move(seconds=TTL_SECONDS - 5)
    lease.extend()
    fake_clock.move(seconds=10)

    assert isinstance(claim(lease.job.id, "next", message_id=lease.job.message_id), NotYet)
    assert complete(lease, {}) is JobStatus.CANCELLED


@pytest.mark.parametrize(("last_heartbeat", "lived"), [(44, False), (46, True)])
def test_a_silent_worker_without_a_message_lived_if_it_sent_a_heartbeat_in_the_last_half_lease(
    fake_clock: FakeClock, last_heartbeat: int, lived: bool
) -> None:
    lease = claim_job(make(), message_id=None)
    fake_clock.move(seconds=last_heartbeat)
    lease.extend()
    fake_clock.move(seconds=90)

    report = sweep(Pool(1))

    assert (report.cancelled, report.resent) == (lived, not lived)
    if not lived:
        assert isinstance(claim(lease.job.id, "next", message_id="m"), Abandoned)


def test_of_two_that_take_over_late_one_is_refused(fake_clock: FakeClock) -> None:
    job = make()
    run_until(0, fake_clock, job)
    fake_clock.move(seconds=600)
    abandoned = claim(job.id, "next", message_id="m")
    assert isinstance(abandoned, Abandoned)

    outcomes = [take_over(abandoned.lease, worker, message_id="m") for worker in ("next", "another")]

    assert [type(outcome).__name__ for outcome in outcomes] == ["Claimed", "NotYet"]


def test_the_sweeper_sends_such_a_job_again_instead_of_cancelling_it(fake_clock: FakeClock) -> None:
    job = make()
    run_until(0, fake_clock, job)
    fake_clock.move(seconds=settings().first_look_seconds)

    report = sweep(Pool(1))

    assert (report.cancelled, report.resent) == (0, 1)
    assert read_job(job).status is JobStatus.RUNNING
    assert (read_job(job).look_at or 0) > fake_clock.ms + 60_000, "not at every sweep"


def test_a_dead_letter_of_such_a_job_is_replaced(fake_clock: FakeClock) -> None:
    job = make()
    run_until(0, fake_clock, job)
    fake_clock.move(seconds=600)

    body = msgspec.json.encode(JobMessage(job.id, job.ttl_ms, job.version)).decode()
    assert judge(body) is LetterVerdict.SENT_AFRESH
