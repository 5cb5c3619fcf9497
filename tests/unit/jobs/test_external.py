"""Jobs for workers outside Lambda: held by a token and a lease, without a message; DynamoDB and SQS in memory."""

import json
import time as real_time
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyReusedError
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
from leaseway.jobs.job import AttemptEnd
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.progress import Progress
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run import external
from leaseway.jobs.run.external import ClaimEndedError, NotClaimableError
from leaseway.jobs.table import JobModel
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import lose_first_answer
from support.job_steps import read_job

pytestmark = pytest.mark.usefixtures("cloud")

EXTERNAL = Queue("EXTERNAL")
LEASE = 30


def job(payload: dict[str, Any] | None = None, **options: int) -> Job:
    return create_job("ann", "EXTERNAL", payload or {"page": 1}, Options(**options))


def claim_next(worker: str = "w1") -> Lease:
    lease = external.claim_next(["EXTERNAL"], worker)
    assert lease is not None
    return lease


def token(lease: Lease) -> str:
    return lease.token


def complete(lease: Lease, result: dict[str, Any] | None = None) -> None:
    external.complete(lease.job.id, token(lease), result or {}, owner=None)


def fail(lease: Lease, error: str = "boom") -> JobStatus:
    return external.fail(lease.job.id, token(lease), error, owner=None)


def beat(lease: Lease) -> external.HeartbeatResult:
    return external.heartbeat(lease.job.id, token(lease), owner=None)


def messages() -> int:
    """Messages in the queue, seen or not."""
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=EXTERNAL.url, AttributeNames=["All"])["Attributes"]
    return sum(int(count) for name, count in attributes.items() if name.startswith("ApproximateNumberOf"))


def send(body: str) -> None:
    aws.client("sqs").send_message(QueueUrl=EXTERNAL.url, MessageBody=body)


def message_of(one: Job) -> str:
    return json.dumps({"job_id": one.id, "ttl_ms": one.ttl_ms})


# ---- Claiming -----------------------------------------------------------------------------------------------------


def test_a_job_is_claimed_kept_and_completed_without_a_message(fake_clock: FakeClock) -> None:
    created = job({"page": 7}, ttl_ms=3_600_000)

    lease = claim_next("build-7")

    assert (lease.job.id, lease.job.status) == (created.id, JobStatus.RUNNING)
    assert (lease.job.worker, lease.job.payload) == ("build-7", {"page": 7})
    assert messages() == 0
    fake_clock.seconds += 20
    answer = beat(lease)
    assert answer == (JobStatus.RUNNING, lease.deadline, clock.now_ms() + LEASE * 1000)
    complete(lease, {"pages": 12})
    ended, result = get_result(created.id, owner="ann")
    assert (ended.status, result, ended.attempts) == (JobStatus.COMPLETED, {"pages": 12}, 1)


def test_a_heartbeat_shows_how_far_the_work_is() -> None:
    job()
    lease = claim_next()
    with meter_calls() as meter:
        external.heartbeat(lease.job.id, token(lease), Progress.from_fraction(0.4, "page 5"), owner=None)
    assert (read_job(lease.job).progress, read_job(lease.job).progress_note) == (400, "page 5")
    assert (meter.count(), meter.write_units()) == (1, 1)
    beat(lease)
    assert read_job(lease.job).progress == 400
    complete(lease)
    assert read_job(lease.job).progress == 1_000


def test_nothing_is_claimed_where_nothing_waits() -> None:
    assert external.claim_next(["EXTERNAL"], "w1") is None


def test_a_claim_costs_one_write_of_three_units_and_a_heartbeat_one_of_one(fake_clock: FakeClock) -> None:
    job()
    with meter_calls() as meter:
        lease = claim_next()
    assert (meter.count("dynamodb"), meter.write_units(), meter.read_units()) == (1, 3, 0)
    assert (meter.count("sqs", "ReceiveMessage"), meter.count("sqs")) == (1, 2)
    with meter_calls() as meter:
        beat(lease)
    assert (meter.count(), meter.write_units(), meter.read_units()) == (1, 1, 0)


def test_each_job_goes_to_one_worker() -> None:
    ids = {job().id for _ in range(3)}
    assert {claim_next(f"w{number}").job.id for number in range(3)} == ids
    assert external.claim_next(["EXTERNAL"], "w4") is None


def test_messages_of_finished_held_and_vanished_jobs_are_cleared_away() -> None:
    done, running = job(), job()
    for _ in range(2):
        one = claim_next()
        if one.job.id == done.id:
            complete(one)
    for body in (message_of(done), message_of(running), message_of(done).replace(done.id, "0" * 32), "no job's"):
        send(body)
    waiting = job()

    assert claim_next().job.id == waiting.id
    assert external.claim_next(["EXTERNAL"], "w2") is None

    assert messages() == 0


def test_a_message_that_comes_too_early_is_kept_for_its_turn(fake_clock: FakeClock) -> None:
    created = job(delay_seconds=5)
    send(message_of(created))

    assert external.claim_next(["EXTERNAL"], "w1") is None

    assert messages() == 2
    fake_clock.seconds += 5
    assert external.claim_known(created.id, "w1", owner=None).job.status is JobStatus.RUNNING


def test_a_claim_waits_for_a_job_as_long_as_requested() -> None:
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

    lease = claim_next()
    complete(lease, large)

    assert lease.job.payload == large
    assert get_result(lease.job.id, owner="ann")[1] == large


def test_a_claim_whose_payload_cannot_be_read_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    created = job({"text": "x" * settings().inline_bytes}, max_attempts=2)
    monkeypatch.setenv("BUCKET", "no-such-bucket")
    settings.cache_clear()

    with pytest.raises(UnavailableError):
        external.claim_next(["EXTERNAL"], "w1")

    monkeypatch.setenv("BUCKET", "leaseway-bucket")
    settings.cache_clear()
    assert (read_job(created).status, read_job(created).attempts) == (JobStatus.CREATED, 1)
    assert "payload could not be read" in (read_job(created).error_message or "")


# ---- One known job ------------------------------------------------------------------------------------------------


def test_a_known_job_is_claimed_once_and_its_message_finds_nothing_to_do() -> None:
    created = job()

    lease = external.claim_known(created.id, "w1", owner="ann")

    assert (lease.job.payload, lease.job.worker) == ({"page": 1}, "w1")
    with pytest.raises(NotClaimableError):
        external.claim_known(created.id, "w2", owner="ann")
    assert external.claim_next(["EXTERNAL"], "w2") is None
    assert messages() == 0
    complete(lease)
    with pytest.raises(NotClaimableError):
        external.claim_known(created.id, "w2", owner="ann")


def test_a_known_job_of_another_user_or_of_lambda_is_not_handed_out() -> None:
    with pytest.raises(JobNotFoundError):
        external.claim_known(job().id, "w1", owner="bob")
    with pytest.raises(NotClaimableError):
        external.claim_known(create_job("ann", "SLEEP", {"duration_ms": 1}).id, "w1", owner="ann")


# ---- The lease ----------------------------------------------------------------------------------------------------


def test_a_dead_workers_job_is_sent_again_and_taken_over_and_the_dead_one_changes_nothing(
    fake_clock: FakeClock,
) -> None:
    created = job(ttl_ms=3_600_000)
    dead = claim_next("dead")
    beat(dead)
    fake_clock.seconds += LEASE + 16

    assert sweep().resent == 1
    successor = claim_next("successor")

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
        fake_clock.seconds = (read_job(created).look_at or 0) / 1000
        assert sweep().looked == 1, hour
    claim_next()
    fake_clock.seconds += LEASE + 16
    assert sweep().resent == 1


def test_a_dead_workers_job_is_sent_again_however_deep_the_queue_is(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_BACKLOG", "1")
    settings.cache_clear()
    running = job(ttl_ms=3_600_000)
    assert claim_next().job.id == running.id
    for _ in range(3):
        job()
    fake_clock.seconds += LEASE + 16

    assert sweep().resent == 1


def test_a_job_whose_workers_all_die_fails_at_its_third_crash(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=3_600_000, max_attempts=10)
    for number in (1, 2, 3):
        lease = claim_next(f"w{number}")
        assert lease.job.attempts == number
        beat(lease)
        fake_clock.seconds += LEASE + 16
        assert sweep().resent == 1

    assert external.claim_next(["EXTERNAL"], "w4") is None

    ended = read_job(created)
    assert (ended.status, ended.crashes) == (JobStatus.FAILED, 3)
    assert messages() == 0


def test_heartbeats_keep_the_sweeper_from_sending(fake_clock: FakeClock) -> None:
    job(ttl_ms=3_600_000)
    lease = claim_next()
    for _ in range(12):
        fake_clock.seconds += 10
        beat(lease)
        assert sweep().resent == 0
    complete(lease)


def test_a_cancelled_jobs_worker_hears_of_it_at_its_heartbeat_and_its_result_is_refused() -> None:
    job()
    lease = claim_next()
    cancel_job(lease.job.id, owner="ann", actor="ann")

    assert beat(lease) == (JobStatus.CANCELLED, None, None)
    with pytest.raises(LeaseLostError) as refusal:
        complete(lease, {"late": True})

    assert refusal.value.facts["status"] == "CANCELLED"
    assert read_job(lease.job).result is None
    retry_job(lease.job.id, owner="ann")
    with pytest.raises(LeaseLostError):
        beat(lease)


def test_a_job_whose_time_has_passed_is_cancelled_by_its_own_heartbeat_or_result(fake_clock: FakeClock) -> None:
    for write in (beat, complete):
        job(ttl_ms=1_000)
        lease = claim_next()
        fake_clock.seconds += 2
        if write is beat:
            assert beat(lease).status is JobStatus.CANCELLED
        else:
            with pytest.raises(LeaseLostError):
                complete(lease, {"late": True})
        assert (read_job(lease.job).status, read_job(lease.job).result) == (JobStatus.CANCELLED, None)


# ---- Ends ---------------------------------------------------------------------------------------------------------


def test_an_error_sends_the_job_back_until_no_attempt_is_left(fake_clock: FakeClock) -> None:
    created = job(max_attempts=2)
    assert fail(claim_next()) is JobStatus.CREATED
    assert messages() == 1
    fake_clock.seconds += 60
    again = external.claim_known(created.id, "w2", owner=None)
    assert fail(again, "again") is JobStatus.FAILED
    assert (read_job(created).error_message, read_job(created).attempts) == ("again", 2)


def test_an_end_that_is_reported_twice_counts_once() -> None:
    job()
    done = claim_next()
    complete(done, {"first": True})
    complete(done, {"first": True})
    with pytest.raises(LeaseLostError):
        complete(done, {"second": True})
    assert get_result(done.job.id, owner="ann")[1] == {"first": True}

    job()
    failed = claim_next()
    assert fail(failed) is fail(failed, "again") is JobStatus.CREATED
    assert (read_job(failed.job).error_message, messages()) == ("boom", 1)
    with pytest.raises(LeaseLostError):
        complete(failed)


def test_without_the_token_or_the_right_owner_nothing_is_touched() -> None:
    job()
    lease = claim_next()
    for wrong in ("", "0" * 16, str(lease.fence)):
        for write in (
            lambda wrong=wrong: external.heartbeat(lease.job.id, wrong, owner="ann"),
            lambda wrong=wrong: external.complete(lease.job.id, wrong, {}, owner="ann"),
            lambda wrong=wrong: external.fail(lease.job.id, wrong, "no", owner="ann"),
        ):
            with pytest.raises(LeaseLostError):
                write()
    for write in (
        lambda: external.heartbeat(lease.job.id, token(lease), owner="bob"),
        lambda: external.complete(lease.job.id, token(lease), {}, owner="bob"),
        lambda: external.fail(lease.job.id, token(lease), "no", owner="bob"),
        lambda: external.heartbeat("0" * 32, token(lease), owner=None),
    ):
        with pytest.raises(JobNotFoundError):
            write()
    assert read_job(lease.job) == lease.job


def test_the_empty_token_opens_no_unclaimed_job() -> None:
    created = job()
    for write in (
        lambda: external.heartbeat(created.id, "", owner=None),
        lambda: external.complete(created.id, "", {}, owner=None),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert read_job(created).status is JobStatus.CREATED


# ---- Claims whose answer is lost ----------------------------------------------------------------------------------


def make_key(text: str = "k1", *, caller: str = "build-7") -> IdempotencyKey:
    return IdempotencyKey(caller, "POST /api/v1/jobs/claim", text)


def claim_keyed(key: IdempotencyKey, **options: Any) -> Lease:
    lease = external.claim_next(["EXTERNAL"], "w1", key=key, **options)
    assert lease is not None
    return lease


def test_a_claim_that_is_repeated_under_its_key_gets_the_same_job_and_token(fake_clock: FakeClock) -> None:
    # Given two jobs, and a claim whose answer is lost
    for _ in range(2):
        job({"page": 7}, ttl_ms=3_600_000)
    lost = claim_keyed(make_key())
    fake_clock.seconds += 20
    # When it is repeated
    again = claim_keyed(make_key())
    # Then it is the same claim, for a whole lease from now
    assert (again.job.id, again.token, again.fence) == (lost.job.id, lost.token, 1)
    assert (again.job.payload, again.until) == ({"page": 7}, clock.now_ms() + LEASE * 1000)
    complete(again)
    assert read_job(lost.job).attempts == 1
    # And the key of another caller, or another key, gets the other job
    assert claim_keyed(make_key(caller="build-8")).job.id != lost.job.id


def test_a_key_that_found_no_job_claims_one_later() -> None:
    assert external.claim_next(["EXTERNAL"], "w1", key=make_key()) is None
    created = job()
    assert claim_keyed(make_key()).job.id == created.id


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "taken over", "expired"])
def test_a_key_whose_claim_holds_its_job_no_more_is_refused(end: str, fake_clock: FakeClock) -> None:
    job(ttl_ms=600_000)
    lease = claim_keyed(make_key())
    waiting = job()
    match end:
        case "completed":
            complete(lease)
        case "failed":
            fail(lease)
        case "cancelled":
            cancel_job(lease.job.id, owner="ann", actor="ann")
        case "taken over":
            fake_clock.seconds += LEASE + 1
            external.claim_known(lease.job.id, "w2", owner=None)
        case "expired":
            fake_clock.seconds += 600
    with pytest.raises(ClaimEndedError):
        claim_keyed(make_key())
    assert read_job(waiting).status is JobStatus.CREATED
    assert claim_keyed(make_key("k2")).job.id == waiting.id


def test_two_requests_under_one_key_at_once_claim_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a request that still waits for a job although its client has gone, and its repeat
    first, second = job(), job()
    original = external._claim_received

    def be_overtaken(*arguments: Any) -> Lease | None:
        monkeypatch.setattr(external, "_claim_received", original)
        leases.append(claim_keyed(make_key()))
        return original(*arguments)

    leases: list[Lease] = []
    monkeypatch.setattr(external, "_claim_received", be_overtaken)
    # When both receive a message
    leases.append(claim_keyed(make_key()))
    # Then they have the same job, and the other one waits for the next claim
    assert leases[0].job.id == leases[1].job.id
    assert leases[0].token == leases[1].token
    other = ({first.id, second.id} - {leases[0].job.id}).pop()
    assert claim_next("w2").job.id == other


def test_a_key_belongs_to_its_types_and_to_its_job() -> None:
    first, second = job(), job()
    key = IdempotencyKey("build-7", "POST /api/v1/jobs/{id}/claim", "k1")
    lease = external.claim_known(first.id, "w1", owner=None, key=key)
    assert external.claim_known(first.id, "w1", owner=None, key=key).token == lease.token
    with pytest.raises(KeyReusedError):
        external.claim_known(second.id, "w1", owner=None, key=key)


def test_a_keyed_claim_whose_transaction_was_answered_late_holds_its_job() -> None:
    job()
    with lose_first_answer("TransactWriteItems", attempts=1) as sent:
        lease = claim_keyed(make_key())
    assert sent.count("TransactWriteItems") == 2
    assert beat(lease).status is JobStatus.RUNNING


def test_a_keyed_claim_costs_a_transaction_and_two_reads() -> None:
    job()
    with meter_calls() as meter:
        claim_keyed(make_key())
    assert (meter.count("dynamodb", "TransactWriteItems"), meter.write_units(), meter.read_units()) == (1, 6, 2)


# ---- Claims whose answer was lost ----------------------------------------------------------------------------------


def test_claims_without_a_heartbeat_fail_no_job_however_many(fake_clock: FakeClock) -> None:
    # Given a job of a single attempt, and workers that are gone before they get the answer to their claim
    created = job(ttl_ms=3_600_000, max_attempts=1)
    for number in range(5):
        ghost = claim_next(f"ghost-{number}")
        assert (ghost.job.id, ghost.job.attempts, ghost.job.crashes) == (created.id, 1, 0)
        fake_clock.seconds = (read_job(created).look_at or 0) / 1000
        assert sweep().resent == 1
    # When a worker lives, then it has the one attempt
    lease = claim_next("alive")
    beat(lease)
    complete(lease, {"pages": 12})
    ended, result = get_result(created.id, owner="ann")
    assert (ended.status, result, ended.attempts, ended.crashes) == (JobStatus.COMPLETED, {"pages": 12}, 1, 0)
    assert {attempt.end for attempt in ended.history} == {AttemptEnd.RETURNED}


def test_a_claim_without_a_heartbeat_uses_up_none_of_the_jobs_time(fake_clock: FakeClock) -> None:
    # Given a time to live that ends before the sweeper looks after the lease
    created = job(ttl_ms=40_000)
    claim_next("ghost")
    for _ in range(3):
        fake_clock.seconds += 60
        sweep()
        assert read_job(created).status is JobStatus.RUNNING
    lease = claim_next("alive")
    assert lease.deadline == clock.now_ms() + 40_000
    beat(lease)
    complete(lease)


def test_a_worker_that_sent_a_heartbeat_and_fell_silent_has_crashed(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=3_600_000)
    beat(claim_next("dead"))
    fake_clock.seconds += LEASE + 1
    successor = external.claim_known(created.id, "w2", owner=None)
    assert (successor.job.attempts, successor.job.crashes) == (2, 1)


def test_a_late_heartbeat_of_a_claim_that_was_returned_is_refused(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=3_600_000)
    late = claim_next("late")
    fake_clock.seconds += LEASE + 1
    lease = external.claim_known(created.id, "w2", owner=None)
    with pytest.raises(LeaseLostError):
        beat(late)
    beat(lease)


def test_a_first_heartbeat_after_the_lease_and_before_the_next_claim_keeps_the_job(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=3_600_000)
    slow = claim_next("slow")
    fake_clock.seconds += LEASE + 1
    assert beat(slow).status is JobStatus.RUNNING
    with pytest.raises(NotClaimableError):
        external.claim_known(created.id, "w2", owner=None)


# ---- The length of a lease ----------------------------------------------------------------------------------------


def test_a_claim_chooses_the_length_of_its_lease_and_of_each_extension(fake_clock: FakeClock) -> None:
    created = job(ttl_ms=11 * 3_600_000)
    lease = external.claim_next(["EXTERNAL"], "w1", lease_seconds=600)
    assert lease is not None
    assert (lease.until, lease.length_ms) == (clock.now_ms() + 600_000, 600_000)
    assert read_job(created).look_at == lease.until + 15_000
    for _ in range(3):
        fake_clock.seconds += 500
        assert beat(lease).lease_until == clock.now_ms() + 600_000
        assert sweep().resent == 0
    # When the worker dies, the job is back when that lease has ended, and the next claim has a length of its own
    fake_clock.seconds += 616
    assert sweep().resent == 1
    assert claim_next("w2").until == clock.now_ms() + LEASE * 1000


def test_a_claim_of_an_earlier_release_is_kept_by_heartbeats_of_this_one(fake_clock: FakeClock) -> None:
    job(ttl_ms=3_600_000)
    lease = claim_next()
    JobModel.change(lease.job.id, [JobModel.is_unconfirmed.remove(), JobModel.lease_ms.remove()], JobModel.id.exists())
    assert beat(lease).lease_until == clock.now_ms() + LEASE * 1000
