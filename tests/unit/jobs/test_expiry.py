"""Jobs that are too old to start: `expires_after_ms`."""

import pytest

from leaseway.errors import InvalidInputError
from leaseway.idempotency import IdempotencyKey, KeyReusedError
from leaseway.jobs import Job, JobStatus, Options, create_job, retry_job
from leaseway.jobs.job import AttemptEnd
from leaseway.jobs.run.claim import Abandoned, Claimed, NotYet, Settled, claim, take_over
from leaseway.jobs.run.finish import complete, fail
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.job_steps import read_job

pytestmark = pytest.mark.usefixtures("cloud")

MINUTE = 60_000
SLEEP = {"duration_ms": 1}


def make(age_ms: int | None = 10 * MINUTE, **options: int) -> Job:
    return create_job("ann", "SLEEP", SLEEP, Options(expires_after_ms=age_ms, **options))


def pass_ms(fake_clock: FakeClock, ms: int) -> None:
    fake_clock.move(seconds=ms / 1_000)


def start(job: Job) -> Claimed:
    outcome = claim(job.id, "worker")
    assert isinstance(outcome, Claimed)
    return outcome


def test_a_job_that_is_young_enough_runs_and_may_end_later(fake_clock: FakeClock) -> None:
    job = make()
    pass_ms(fake_clock, 10 * MINUTE - 1_000)
    claimed = start(job)
    pass_ms(fake_clock, 30_000)

    assert complete(claimed.lease, {}) is JobStatus.COMPLETED


def test_a_job_that_is_too_old_is_cancelled_instead_of_claimed(fake_clock: FakeClock) -> None:
    job = make()
    pass_ms(fake_clock, 10 * MINUTE)

    assert claim(job.id, "worker") == Settled("too old to start")

    ended = read_job(job)
    assert (ended.status, ended.attempts) == (JobStatus.CANCELLED, 0)
    assert ended.error_message == "cancelled: no attempt starts 600000 ms after its creation"
    assert claim(job.id, "another") == Settled("finished")


def test_a_retry_that_comes_too_late_is_cancelled_with_the_last_error(fake_clock: FakeClock) -> None:
    job = make(MINUTE)
    fail(start(job).lease, "no answer", run_after=job.created_at + MINUTE - 1)
    pass_ms(fake_clock, MINUTE)

    assert claim(job.id, "worker") == Settled("too old to start")

    assert (read_job(job).status, read_job(job).attempts) == (JobStatus.CANCELLED, 1)
    assert str(read_job(job).error_message).endswith("; the last one: no answer")


def test_an_attempt_that_fails_without_time_for_another_fails_the_job(fake_clock: FakeClock) -> None:
    job = make(MINUTE, max_attempts=5)

    assert fail(start(job).lease, "no answer", run_after=job.created_at + MINUTE) is JobStatus.FAILED

    assert (read_job(job).error_message, read_job(job).attempts) == ("no answer", 1)


def test_a_job_that_is_too_old_is_not_taken_over(fake_clock: FakeClock) -> None:
    job = make(MINUTE, ttl_ms=10 * MINUTE)
    start(job)
    pass_ms(fake_clock, settings().lease_seconds * 1_000 + 1_000)
    abandoned = claim(job.id, "another")
    assert isinstance(abandoned, Abandoned)
    pass_ms(fake_clock, MINUTE)

    assert take_over(abandoned.lease, "another") == Settled("too old to start again")

    ended = read_job(job)
    assert (ended.status, ended.attempts, ended.crashes) == (JobStatus.CANCELLED, 1, 1)
    assert [attempt.end for attempt in ended.history] == [AttemptEnd.CRASHED]


def test_a_worker_that_lives_keeps_a_job_that_is_too_old(fake_clock: FakeClock) -> None:
    job = make(MINUTE, ttl_ms=10 * MINUTE)
    claimed = start(job)
    for _ in range(10):
        pass_ms(fake_clock, 10_000)
        claimed.lease.extend()

    assert isinstance(claim(job.id, "another"), NotYet)
    assert complete(claimed.lease, {}) is JobStatus.COMPLETED


def test_the_sweeper_cancels_what_no_worker_receives_as_soon_as_it_is_too_old(fake_clock: FakeClock) -> None:
    job, ageless = make(30_000), make(None)
    pass_ms(fake_clock, 30_000)

    report = sweep()

    assert (report.cancelled, report.looked) == (1, 1)
    assert (read_job(job).status, read_job(ageless).status) == (JobStatus.CANCELLED, JobStatus.CREATED)


def test_a_retry_by_hand_has_the_same_time_once_more(fake_clock: FakeClock) -> None:
    job = make()
    pass_ms(fake_clock, 11 * MINUTE)
    claim(job.id, "worker")
    retry_job(job.id, owner="ann")
    pass_ms(fake_clock, 9 * MINUTE)

    assert complete(start(job).lease, {}) is JobStatus.COMPLETED


@pytest.mark.parametrize("age_ms", [0, -1, 367 * 86_400_000])
def test_an_age_out_of_bounds_is_refused(age_ms: int) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        make(age_ms)
    assert refusal.value.field == "expires_after_ms"


def test_a_job_that_could_never_start_is_refused() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        make(MINUTE, delay_seconds=60)
    assert refusal.value.field == "expires_after_ms"
    assert make(MINUTE, delay_seconds=59).expires_after_ms == MINUTE


def test_it_costs_nothing_more(fake_clock: FakeClock) -> None:
    with meter_calls() as plain:
        complete(start(make(None)).lease, {})
    with meter_calls() as bounded:
        complete(start(make()).lease, {})
    assert bounded.write_units() == plain.write_units() == 8


def test_another_age_under_the_same_key_is_another_request() -> None:
    key = IdempotencyKey("ann", "POST /jobs", "k")

    def request(age_ms: int | None) -> Job:
        return create_job("ann", "SLEEP", SLEEP, Options(expires_after_ms=age_ms), key=key)

    job = request(MINUTE)
    assert request(MINUTE).id == job.id
    assert request(MINUTE).expires_after_ms == MINUTE
    for other in (None, 2 * MINUTE):
        with pytest.raises(KeyReusedError):
            request(other)
