"""Jobs for workers outside Lambda: held by a token and a lease, without a message; DynamoDB and SQS in memory."""

import json
import time as real_time
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs import (
    Job,
    JobNotFoundError,
    JobStatus,
    Options,
    UnknownJobTypeError,
    cancel_job,
    create_job,
    get_result,
    retry_job,
)
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.progress import Progress
from leaseway.jobs.queue import Queue
from leaseway.jobs.run import external
from leaseway.jobs.run.external import NotClaimableError
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings
from support.call_meter import metered
from support.fake_clock import FakeClock
from support.job_steps import read

pytestmark = pytest.mark.usefixtures("cloud")

EXTERNAL = Queue("EXTERNAL")
LEASE = 30


def job(payload: dict[str, Any] | None = None, **options: int) -> Job:
    return create_job("ann", "EXTERNAL", payload or {"page": 1}, Options(**options))


def claimed(worker: str = "w1") -> Lease:
    lease = external.claim_next(["EXTERNAL"], worker)
    assert lease is not None
    return lease


def token(held: Lease) -> str:
    return held.token


def complete(held: Lease, result: dict[str, Any] | None = None) -> None:
    external.complete(held.job.id, token(held), result or {}, owner=None)


def fail(held: Lease, error: str = "boom") -> JobStatus:
    return external.fail(held.job.id, token(held), error, owner=None)


def beat(held: Lease) -> external.HeartbeatResult:
    return external.heartbeat(held.job.id, token(held), owner=None)


def messages() -> int:
    """Messages in the queue, seen or not."""
    told = aws.client("sqs").get_queue_attributes(QueueUrl=EXTERNAL.url, AttributeNames=["All"])["Attributes"]
    return sum(int(count) for name, count in told.items() if name.startswith("ApproximateNumberOf"))


def send(body: str) -> None:
    aws.client("sqs").send_message(QueueUrl=EXTERNAL.url, MessageBody=body)


def message_of(one: Job) -> str:
    return json.dumps({"job_id": one.id, "ttl_ms": one.ttl_ms})


# ---- Claiming -----------------------------------------------------------------------------------------------------


def test_a_job_is_claimed_kept_and_completed_without_a_message(fake_clock: FakeClock) -> None:
    created = job({"page": 7}, ttl_ms=3_600_000)

    held = claimed("build-7")

    assert (held.job.id, held.job.status) == (created.id, JobStatus.RUNNING)
    assert (held.job.worker, held.job.payload) == ("build-7", {"page": 7})
    assert messages() == 0
    fake_clock.seconds += 20
    found = beat(held)
    assert found == (JobStatus.RUNNING, held.deadline, clock.now_ms() + LEASE * 1000)
    complete(held, {"pages": 12})
    ended, result = get_result(created.id, owner="ann")
    assert (ended.status, result, ended.attempts) == (JobStatus.COMPLETED, {"pages": 12}, 1)


def test_a_heartbeat_shows_how_far_the_work_is() -> None:
    job()
    held = claimed()
    with metered() as meter:
        external.heartbeat(held.job.id, token(held), Progress.from_fraction(0.4, "page 5"), owner=None)
    assert (read(held.job).progress, read(held.job).progress_note) == (400, "page 5")
    assert (meter.count(), meter.write_units()) == (1, 1)
    beat(held)
    assert read(held.job).progress == 400
    complete(held)
    assert read(held.job).progress == 1_000


def test_nothing_is_claimed_where_nothing_waits() -> None:
    assert external.claim_next(["EXTERNAL"], "w1") is None


def test_a_claim_costs_one_write_of_three_units_and_a_heartbeat_one_of_one(fake_clock: FakeClock) -> None:
    job()
    with metered() as meter:
        held = claimed()
    assert (meter.count("dynamodb"), meter.write_units(), meter.read_units()) == (1, 3, 0)
    assert (meter.count("sqs", "ReceiveMessage"), meter.count("sqs")) == (1, 2)
    with metered() as meter:
        beat(held)
    assert (meter.count(), meter.write_units(), meter.read_units()) == (1, 1, 0)


def test_each_job_goes_to_one_worker() -> None:
    made = {job().id for _ in range(3)}
    assert {claimed(f"w{number}").job.id for number in range(3)} == made
    assert external.claim_next(["EXTERNAL"], "w4") is None


def test_messages_of_finished_held_and_vanished_jobs_are_cleared_away() -> None:
    done, held = job(), job()
    for _ in range(2):
        one = claimed()
        if one.job.id == done.id:
            complete(one)
    for body in (message_of(done), message_of(held), message_of(done).replace(done.id, "0" * 32), "no job's"):
        send(body)
    waiting = job()

    assert claimed().job.id == waiting.id
    assert external.claim_next(["EXTERNAL"], "w2") is None

    assert messages() == 0


def test_a_message_that_comes_too_early_is_kept_for_its_turn(fake_clock: FakeClock) -> None:
    created = job(delay_seconds=5)
    send(message_of(created))

    assert external.claim_next(["EXTERNAL"], "w1") is None

    assert messages() == 2
    fake_clock.seconds += 5
    assert external.claim_known(created.id, "w1", owner=None).job.status is JobStatus.RUNNING


def test_a_claim_waits_for_a_job_as_long_as_it_was_told() -> None:
    began = real_time.monotonic()
    assert external.claim_next(["EXTERNAL"], "w1", wait_seconds=1) is None
    assert 0.9 <= real_time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("types", "error", "field"),
    [(["SLEEP"], InvalidInputError, "types"), (["EXTERNAL", "NO_SUCH"], UnknownJobTypeError, "type")],
)
def test_only_external_types_are_handed_out(types: list[str], error: type[InvalidInputError], field: str) -> None:
    with pytest.raises(error) as refusal:
        external.claim_next(types, "w1")
    assert refusal.value.field == field


def test_a_type_without_a_queue_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TYPE_QUEUE_URLS", "")
    settings.cache_clear()
    with pytest.raises(InvalidInputError, match="no queue"):
        external.claim_next(["EXTERNAL"], "w1")


def test_a_large_payload_comes_with_the_claim_and_a_large_result_is_stored() -> None:
    large = {"text": "x" * settings().inline_bytes}
    job(large)

    held = claimed()
    complete(held, large)

    assert held.job.payload == large
    assert get_result(held.job.id, owner="ann")[1] == large


def test_a_claim_whose_payload_cannot_be_read_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    created = job({"text": "x" * settings().inline_bytes}, max_attempts=2)
    monkeypatch.setenv("BUCKET", "no-such-bucket")
    settings.cache_clear()

    with pytest.raises(UnavailableError):
        external.claim_next(["EXTERNAL"], "w1")

    monkeypatch.setenv("BUCKET", "leaseway-bucket")
    settings.cache_clear()
    assert (read(created).status, read(created).attempts) == (JobStatus.CREATED, 1)
    assert "payload could not be read" in (read(created).error_message or "")


# ---- One known job ------------------------------------------------------------------------------------------------


def test_a_known_job_is_claimed_once_and_its_message_finds_nothing_to_do() -> None:
    created = job()

    held = external.claim_known(created.id, "w1", owner="ann")

    assert (held.job.payload, held.job.worker) == ({"page": 1}, "w1")
    with pytest.raises(NotClaimableError):
        external.claim_known(created.id, "w2", owner="ann")
    assert external.claim_next(["EXTERNAL"], "w2") is None
    assert messages() == 0
    complete(held)
    with pytest.raises(NotClaimableError):
        external.claim_known(created.id, "w2", owner="ann")


def test_a_known_job_of_somebody_elses_or_of_lambda_is_not_handed_out() -> None:
    with pytest.raises(JobNotFoundError):
        external.claim_known(job().id, "w1", owner="bob")
    with pytest.raises(NotClaimableError):
        external.claim_known(create_job("ann", "SLEEP", {"duration_ms": 1}).id, "w1", owner="ann")


# ---- The lease ----------------------------------------------------------------------------------------------------


def test_a_dead_workers_job_is_sent_again_and_taken_over_and_the_dead_one_changes_nothing(
    fake_clock: FakeClock,
) -> None:
    created = job(ttl_ms=3_600_000)
    dead = claimed("dead")
    fake_clock.seconds += LEASE + 16

    assert sweep().resent == 1
    successor = claimed("successor")

    assert (successor.job.id, successor.job.worker) == (created.id, "successor")
    assert (successor.job.crashes, successor.fence) == (1, 2)
    assert successor.deadline == clock.now_ms() + 3_600_000
    for write in (beat, complete, fail):
        with pytest.raises(LeaseLostError):
            write(dead)
    complete(successor, {"by": "successor"})
    assert get_result(created.id, owner="ann")[1] == {"by": "successor"}


def test_the_sweeper_looks_when_the_lease_ends_however_long_the_job_had_waited(fake_clock: FakeClock) -> None:
    """Its looks at a waiting job grow to an hour apart; a dead worker's job must not wait so long."""
    created = job(ttl_ms=3_600_000)
    for hour in range(3):
        fake_clock.seconds = (read(created).look_at or 0) / 1000
        assert sweep().looked == 1, hour
    claimed()
    fake_clock.seconds += LEASE + 16
    assert sweep().resent == 1


def test_a_dead_workers_job_is_sent_again_however_deep_the_queue_is(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_BACKLOG", "1")
    settings.cache_clear()
    held = job(ttl_ms=3_600_000)
    assert claimed().job.id == held.id
    for _ in range(3):
        job()
    fake_clock.seconds += LEASE + 16

    assert sweep().resent == 1


def test_a_job_whose_workers_all_die_fails_at_its_third_crash(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=3_600_000, max_attempts=10)
    for number in (1, 2, 3):
        assert claimed(f"w{number}").job.attempts == number
        fake_clock.seconds = (read(created).look_at or 0) / 1000
        assert sweep().resent == 1

    assert external.claim_next(["EXTERNAL"], "w4") is None

    ended = read(created)
    assert (ended.status, ended.crashes) == (JobStatus.FAILED, 3)
    assert messages() == 0


def test_heartbeats_keep_the_sweeper_from_sending(fake_clock: FakeClock) -> None:
    job(ttl_ms=3_600_000)
    held = claimed()
    for _ in range(12):
        fake_clock.seconds += 10
        beat(held)
        assert sweep().resent == 0
    complete(held)


def test_a_cancelled_jobs_worker_hears_of_it_at_its_heartbeat_and_its_result_is_refused() -> None:
    job()
    held = claimed()
    cancel_job(held.job.id, owner="ann", actor="ann")

    assert beat(held) == (JobStatus.CANCELLED, None, None)
    with pytest.raises(LeaseLostError) as refusal:
        complete(held, {"late": True})

    assert refusal.value.facts["status"] == "CANCELLED"
    assert read(held.job).result is None
    retry_job(held.job.id, owner="ann")
    with pytest.raises(LeaseLostError):
        beat(held)


def test_a_job_whose_time_has_passed_is_cancelled_by_its_own_heartbeat_or_result(fake_clock: FakeClock) -> None:
    for write in (beat, complete):
        job(ttl_ms=1_000)
        held = claimed()
        fake_clock.seconds += 2
        if write is beat:
            assert beat(held).status is JobStatus.CANCELLED
        else:
            with pytest.raises(LeaseLostError):
                complete(held, {"late": True})
        assert (read(held.job).status, read(held.job).result) == (JobStatus.CANCELLED, None)


# ---- Ends ---------------------------------------------------------------------------------------------------------


def test_an_error_sends_the_job_back_until_no_attempt_is_left(fake_clock: FakeClock) -> None:
    created = job(max_attempts=2)
    assert fail(claimed()) is JobStatus.CREATED
    assert messages() == 1
    fake_clock.seconds += 60
    again = external.claim_known(created.id, "w2", owner=None)
    assert fail(again, "again") is JobStatus.FAILED
    assert (read(created).error_message, read(created).attempts) == ("again", 2)


def test_an_end_that_is_told_twice_counts_once() -> None:
    job()
    done = claimed()
    complete(done, {"first": True})
    complete(done, {"first": True})
    with pytest.raises(LeaseLostError):
        complete(done, {"second": True})
    assert get_result(done.job.id, owner="ann")[1] == {"first": True}

    job()
    failed = claimed()
    assert fail(failed) is fail(failed, "again") is JobStatus.CREATED
    assert (read(failed.job).error_message, messages()) == ("boom", 1)
    with pytest.raises(LeaseLostError):
        complete(failed)


def test_without_the_token_or_the_right_owner_nothing_is_touched() -> None:
    job()
    held = claimed()
    for wrong in ("", "0" * 16, str(held.fence)):
        for write in (
            lambda wrong=wrong: external.heartbeat(held.job.id, wrong, owner="ann"),
            lambda wrong=wrong: external.complete(held.job.id, wrong, {}, owner="ann"),
            lambda wrong=wrong: external.fail(held.job.id, wrong, "no", owner="ann"),
        ):
            with pytest.raises(LeaseLostError):
                write()
    for write in (
        lambda: external.heartbeat(held.job.id, token(held), owner="bob"),
        lambda: external.complete(held.job.id, token(held), {}, owner="bob"),
        lambda: external.fail(held.job.id, token(held), "no", owner="bob"),
        lambda: external.heartbeat("0" * 32, token(held), owner=None),
    ):
        with pytest.raises(JobNotFoundError):
            write()
    assert read(held.job) == held.job


def test_the_empty_token_opens_no_job_that_nobody_claimed() -> None:
    created = job()
    for write in (
        lambda: external.heartbeat(created.id, "", owner=None),
        lambda: external.complete(created.id, "", {}, owner=None),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert read(created).status is JobStatus.CREATED
