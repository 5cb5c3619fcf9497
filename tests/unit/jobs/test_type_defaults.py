"""Job types declare defaults of their own: time to live, attempts, the wait before a retry, and the lease."""

from typing import Any

import msgspec
import pytest

from leaseway.errors import InvalidInputError
from leaseway.jobs import Options, create_job
from leaseway.jobs.run import external, finish
from leaseway.jobs.types import JobType, RetryDelay, job_type
from leaseway.tasks import Definition, create_task, start_now
from support.fake_clock import FakeClock
from support.job_steps import claim_job, create_sleep_job, read_job

pytestmark = pytest.mark.usefixtures("cloud")

PACED = {
    "PICTURE_SERIES": {},
    "PRIME_COUNT": {},
    "STORAGE_AUDIT": {},
    "URL_CHECK": {"urls": ["https://example.com/"]},
}


@pytest.mark.parametrize("name", PACED)
def test_a_paced_job_may_live_longer_than_its_work_takes_by_default(name: str) -> None:
    # Given a type whose work takes two minutes, which is more than a job's default time to live
    least_ms = job_type(name).parse(PACED[name]).duration_ms
    # When a job and a task of it are created with nothing but the payload
    job = create_job("ann", name, PACED[name])
    task = create_task("ann", Definition(name=name, type=name, payload=PACED[name], every="1h"))
    # Then there is time for the work
    assert job.ttl_ms == task.ttl_ms == 180_000 > least_ms


@pytest.mark.parametrize("name", PACED)
def test_work_that_would_outlive_its_job_is_refused_with_the_field(name: str) -> None:
    for payload, ttl_ms in ((PACED[name], 120_000), (PACED[name] | {"duration_ms": 180_000}, None)):
        with pytest.raises(InvalidInputError, match="must be above") as refused:
            create_job("ann", name, payload, Options(ttl_ms=ttl_ms))
        assert refused.value.field == "ttl_ms"


def _declare(monkeypatch: pytest.MonkeyPatch, **declared: Any) -> None:
    sleep = job_type("SLEEP")
    kind = JobType("SLEEP", sleep.payload, sleep.run, sleep.summary, **declared)
    monkeypatch.setattr("leaseway.jobs.types.catalogue", lambda: {"SLEEP": kind})
    monkeypatch.setattr("leaseway.jobs.run.finish.catalogue", lambda: {"SLEEP": kind})
    monkeypatch.setattr("leaseway.tasks.runs.catalogue", lambda: {"SLEEP": kind})


def test_what_a_job_names_comes_before_what_its_type_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, ttl_ms=5_000, max_attempts=7)
    declared, named = create_sleep_job(), create_sleep_job(ttl_ms=9_000, max_attempts=1)
    assert (declared.ttl_ms, declared.max_attempts) == (5_000, 7)
    assert (named.ttl_ms, named.max_attempts) == (9_000, 1)


def test_a_declared_time_to_live_stays_within_the_deployments_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, ttl_ms=3_600_000)
    assert create_sleep_job().ttl_ms == 840_000


def test_a_declared_retry_delay_replaces_the_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a type that waits 4, 8 and then always 10 seconds
    _declare(monkeypatch, retry_delay=RetryDelay(4_000, 10_000))
    # Then each wait is within the upper half of its step
    job = create_sleep_job()
    for attempts, step in ((1, 4_000), (2, 8_000), (3, 10_000), (9, 10_000)):
        waits = [finish.backoff_ms(msgspec.structs.replace(job, attempts=attempts)) for _ in range(20)]
        assert all(step // 2 <= wait <= step for wait in waits)


def test_a_declared_lease_is_that_of_its_claims_and_heartbeats(
    monkeypatch: pytest.MonkeyPatch, fake_clock: FakeClock
) -> None:
    _declare(monkeypatch, lease_seconds=600)
    lease = claim_job(create_sleep_job())
    assert (lease.until, lease.length_ms) == (fake_clock.ms + 600_000, 600_000)

    fake_clock.move(seconds=50)
    assert lease.extend(is_repeated=True).until == fake_clock.ms + 600_000
    assert read_job(lease.job).lease_until == fake_clock.ms + 600_000


def test_a_tasks_run_has_the_declared_lease_too(monkeypatch: pytest.MonkeyPatch, fake_clock: FakeClock) -> None:
    _declare(monkeypatch, lease_seconds=600)
    task = create_task("ann", Definition(name="t", type="SLEEP", payload={"duration_ms": 1}, every="1h"))
    assert claim_job(start_now(task.id)).until == fake_clock.ms + 600_000


def test_without_a_declared_lease_that_of_the_deployment_holds(fake_clock: FakeClock) -> None:
    lease = claim_job(create_sleep_job())
    assert (lease.until, lease.length_ms) == (fake_clock.ms + 30_000, 30_000)
    assert lease.job.type_lease_ms is None


@pytest.mark.parametrize(("chosen", "expected"), [(None, 600), (60, 60)])
def test_a_claim_from_outside_chooses_its_lease_or_has_the_declared_one(
    monkeypatch: pytest.MonkeyPatch, fake_clock: FakeClock, chosen: int | None, expected: int
) -> None:
    external_type = msgspec.structs.replace(job_type("EXTERNAL"), lease_seconds=600)
    monkeypatch.setattr("leaseway.jobs.run.external.job_type", lambda _: external_type)
    job_id = create_job("ann", "EXTERNAL", {}).id

    lease = external.claim_known(job_id, "w", owner=None, lease_seconds=chosen)

    assert (lease.until, lease.length_ms) == (fake_clock.ms + expected * 1_000, expected * 1_000)
    beat = external.heartbeat(job_id, lease.token, owner=None)
    assert beat.lease_until == fake_clock.ms + expected * 1_000
    create_job("ann", "EXTERNAL", {})
    next_lease = external.claim_next(["EXTERNAL"], "w", lease_seconds=chosen)
    assert next_lease is not None
    assert next_lease.length_ms == expected * 1_000


@pytest.mark.parametrize("seconds", [0, 4, 3_601])
def test_a_declared_lease_out_of_bounds_is_a_mistake_in_the_type(seconds: int) -> None:
    sleep = job_type("SLEEP")
    with pytest.raises(ValueError, match="SLEEP: lease_seconds must be from 5 to 3600"):
        JobType("SLEEP", sleep.payload, sleep.run, sleep.summary, lease_seconds=seconds)
