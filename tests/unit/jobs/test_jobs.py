"""The job's state machine against DynamoDB and SQS in memory; concurrency is tested on the deployed stack."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from leaseway import aws, clock
from leaseway.dynamodb.table import Item
from leaseway.errors import InvalidInputError
from leaseway.jobs import (
    Job,
    JobNotFoundError,
    JobStatus,
    NotFinishedError,
    Options,
    TtlTooLongError,
    UnknownJobTypeError,
    cancel_job,
    create_job,
    get_job,
    get_result,
    queue,
    retry_job,
)
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.jobs.upkeep import dead_letters
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import require_setting, settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.job_steps import claim_job, create_sleep_job, read_job

pytestmark = pytest.mark.usefixtures("cloud")

LEASE = 30_000


def receive_messages() -> list[Any]:
    """Messages in the queue, which are hidden from now on."""
    answer = aws.client("sqs").receive_message(QueueUrl=require_setting("jobs_queue_url"), MaxNumberOfMessages=10)
    return answer.get("Messages", [])


def messages() -> list[str]:
    return [queue.parse(message["Body"]).job_id for message in receive_messages()]


def find_abandoned(job: Job) -> Lease:
    outcome = claim.claim(job.id, "w2")
    assert isinstance(outcome, claim.Abandoned)
    return outcome.lease


def test_a_created_job_is_stored_and_sent() -> None:
    job = create_sleep_job()

    assert read_job(job).status is JobStatus.CREATED
    assert messages() == [job.id]


@pytest.mark.parametrize(
    ("type_name", "payload", "options", "error", "field"),
    [
        ("NO_SUCH", {}, {}, UnknownJobTypeError, "type"),
        ("SLEEP", {"duration_ms": "ten"}, {}, InvalidInputError, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": 1, "extra": 1}, {}, InvalidInputError, "payload.extra"),
        ("SLEEP", {"duration_ms": 1}, {"ttl_ms": 840_001}, TtlTooLongError, "ttl_ms"),
        ("SLEEP", {"duration_ms": 1}, {"ttl_ms": 0}, InvalidInputError, "ttl_ms"),
        ("SLEEP", {"duration_ms": 1}, {"max_attempts": 0}, InvalidInputError, "max_attempts"),
        ("SLEEP", {"duration_ms": 1}, {"max_attempts": 21}, InvalidInputError, "max_attempts"),
    ],
)
def test_a_job_that_could_not_run_is_refused_and_nothing_is_stored(
    type_name: str, payload: dict[str, Any], options: dict[str, Any], error: type[InvalidInputError], field: str
) -> None:
    with meter_calls() as meter, pytest.raises(error) as refusal:
        create_job("ann", type_name, payload, Options(**options))
    assert refusal.value.field == field
    assert meter.count() == 0


def test_another_users_job_reads_as_absent() -> None:
    job = create_sleep_job()
    with pytest.raises(JobNotFoundError):
        get_job(job.id, owner="bob")
    assert get_job(job.id, owner=None).id == job.id


def test_a_jobs_life_costs_three_writes_eight_units_no_read_and_one_send() -> None:
    with meter_calls() as meter:
        job = create_sleep_job()
        finish.complete(claim_job(job), {"slept_ms": 10})

    assert meter.writes("jobs") == 3
    assert meter.write_units("jobs") == 8
    assert meter.read_units() == 0
    assert meter.count("dynamodb") == 3
    assert meter.count("sqs") == 1


def test_a_heartbeat_costs_one_unit_and_extends_the_lease(fake_clock: FakeClock) -> None:
    mine = claim_job(create_sleep_job())
    fake_clock.seconds += 10
    with meter_calls() as meter:
        extended = mine.extend()
    assert extended.until == mine.until + 10_000
    assert (meter.write_units(), meter.read_units()) == (1, 0)


def test_a_claim_starts_the_time_to_live_and_names_the_worker(fake_clock: FakeClock) -> None:
    job = claim_job(create_sleep_job(ttl_ms=5_000), "w1")
    assert (job.job.status, job.job.worker, job.job.attempts, job.fence) == (JobStatus.RUNNING, "w1", 1, 1)
    assert job.deadline == clock.now_ms() + 5_000
    assert job.until == clock.now_ms() + LEASE


def test_a_claim_refused_by_a_live_lease_waits_for_its_end_and_reads_nothing(fake_clock: FakeClock) -> None:
    mine = claim_job(create_sleep_job())
    with meter_calls() as meter:
        outcome = claim.claim(mine.job.id, "w2")
    assert isinstance(outcome, claim.NotYet)
    assert outcome.until == mine.until + 5_000
    assert (meter.count("dynamodb"), meter.read_units()) == (1, 0)


def test_a_result_ends_the_job_and_a_repeated_message_finds_nothing_to_do() -> None:
    mine = claim_job(create_sleep_job())
    assert finish.complete(mine, {"slept_ms": 10}) is JobStatus.COMPLETED

    assert isinstance(claim.claim(mine.job.id, "w2"), claim.Settled)
    job, result = get_result(mine.job.id, owner="ann")
    assert (job.status, result) == (JobStatus.COMPLETED, {"slept_ms": 10})


def test_an_unfinished_job_has_no_result() -> None:
    with pytest.raises(NotFinishedError):
        get_result(create_sleep_job().id, owner="ann")


def test_a_message_without_a_job_is_settled() -> None:
    assert isinstance(claim.claim("0" * 32, "w1"), claim.Settled)


def test_a_large_result_lives_in_the_bucket() -> None:
    mine = claim_job(create_sleep_job())
    large = {"text": "x" * settings().inline_bytes}
    finish.complete(mine, large)
    assert read_job(mine.job).result == large
    assert read_job(mine.job).result_key


def test_a_late_result_is_discarded(fake_clock: FakeClock) -> None:
    mine = claim_job(create_sleep_job(ttl_ms=1_000))
    fake_clock.seconds += 1.5

    assert finish.complete(mine, {"late": True}) is JobStatus.CANCELLED

    assert (read_job(mine.job).status, read_job(mine.job).result) == (JobStatus.CANCELLED, None)


def test_a_worker_that_lost_its_lease_changes_nothing(fake_clock: FakeClock) -> None:
    mine = claim_job(create_sleep_job())
    fake_clock.seconds += 31
    theirs = claim.take_over(find_abandoned(mine.job), "w2")
    assert isinstance(theirs, claim.Claimed)

    for attempt in (lambda: finish.complete(mine, {"by": "w1"}), lambda: finish.fail(mine, "no"),
                    mine.extend):  # fmt: skip
        with pytest.raises(LeaseLostError):
            attempt()

    finish.complete(theirs.lease, {"by": "w2"})
    assert read_job(mine.job).result == {"by": "w2"}
    assert read_job(mine.job).crashes == 1


def test_a_takeover_has_the_whole_time_to_live_and_only_the_first_of_two_gets_it(fake_clock: FakeClock) -> None:
    mine = claim_job(create_sleep_job(ttl_ms=60_000))
    fake_clock.seconds += 31
    seen = find_abandoned(mine.job)

    first, second = claim.take_over(seen, "w2"), claim.take_over(seen, "w3")

    assert isinstance(first, claim.Claimed)
    assert (first.lease.deadline, first.lease.job.attempts, first.lease.job.crashes) == (clock.now_ms() + 60_000, 2, 1)
    assert isinstance(second, claim.NotYet)


def test_our_own_write_repeated_by_the_sdk_is_recognised() -> None:
    job = create_sleep_job()
    mine = claim_job(job)
    assert finish.complete(mine, {"n": 1}) is JobStatus.COMPLETED
    assert finish.complete(mine, {"n": 1}) is JobStatus.COMPLETED


def test_an_error_sends_the_job_back_with_growing_waits_until_no_attempt_is_left(fake_clock: FakeClock) -> None:
    job = create_sleep_job(max_attempts=3)
    waits = []
    for _ in range(2):
        mine = claim_job(job)
        assert finish.fail(mine, "boom") is JobStatus.CREATED
        waiting = read_job(job)
        waits.append(waiting.run_after - clock.now_ms())
        assert isinstance(claim.claim(job.id, "w"), claim.NotYet)
        fake_clock.seconds += waits[-1] / 1000 + 0.01  # a float of seconds may fall short of a millisecond
    assert finish.fail(claim_job(job), "boom") is JobStatus.FAILED

    assert waits[0] <= waits[1]
    assert (read_job(job).attempts, read_job(job).error_message) == (3, "boom")


def test_a_job_that_succeeds_in_the_end_has_no_error(fake_clock: FakeClock) -> None:
    job = create_sleep_job()
    finish.fail(claim_job(job), "boom")
    assert read_job(job).error_message == "boom"
    fake_clock.seconds += 10
    finish.complete(claim_job(job), {})
    assert (read_job(job).status, read_job(job).error_message) == (JobStatus.COMPLETED, None)


@pytest.mark.parametrize("attempts", range(1, 25))
def test_the_backoff_doubles_and_stops_at_its_cap(attempts: int) -> None:
    job, step = (
        msgspec.structs.replace(create_sleep_job(), attempts=attempts),
        min(900_000, 1_000 * 2 ** (attempts - 1)),
    )
    assert all(step // 2 <= finish.backoff_ms(job) <= step for _ in range(20))


def test_a_job_that_kills_its_worker_every_time_fails_at_its_third_crash(fake_clock: FakeClock) -> None:
    job = create_sleep_job(ttl_ms=800_000, max_attempts=20)
    claim_job(job)
    for crash in (1, 2):
        fake_clock.seconds += 31
        outcome = claim.take_over(find_abandoned(job), "w")
        assert isinstance(outcome, claim.Claimed)
        assert outcome.lease.job.crashes == crash
    fake_clock.seconds += 31

    assert isinstance(claim.claim(job.id, "w"), claim.Settled)
    assert (read_job(job).status, read_job(job).crashes) == (JobStatus.FAILED, 3)
    assert "died 3 times" in read_job(job).error_message


def test_a_job_with_one_attempt_is_never_run_again_after_a_crash(fake_clock: FakeClock) -> None:
    job = create_sleep_job(max_attempts=1)
    claim_job(job)
    fake_clock.seconds += 31
    assert isinstance(claim.claim(job.id, "w"), claim.Settled)
    assert read_job(job).status is JobStatus.FAILED


def test_the_claimer_cancels_a_job_past_its_deadline(fake_clock: FakeClock) -> None:
    job = create_sleep_job(ttl_ms=1_000)
    claim_job(job, message_id=None)
    fake_clock.seconds += 2
    assert isinstance(claim.claim(job.id, "w2"), claim.Settled)
    assert read_job(job).status is JobStatus.CANCELLED


def test_the_sweeper_leaves_young_jobs_alone(fake_clock: FakeClock) -> None:
    create_sleep_job()
    fake_clock.seconds += 119
    with meter_calls() as meter:
        assert sweep().looked == 0
    assert meter.writes() == 0


def test_a_lost_message_is_sent_again_with_doubling_waits(fake_clock: FakeClock) -> None:
    job = create_sleep_job()
    messages()
    looks = []
    for _ in range(4):
        fake_clock.seconds = read_job(job).look_at / 1000
        looks.append(fake_clock.seconds)
        assert sweep().resent == 1
        assert messages().count(job.id) == 1
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(looks)]
    assert gaps == [120, 240, 480]


def test_the_sweeper_cancels_what_outlived_its_time(fake_clock: FakeClock) -> None:
    job = create_sleep_job(ttl_ms=1_000)
    claim_job(job, message_id=None)
    fake_clock.seconds += 121
    assert sweep().cancelled == 1
    assert read_job(job).status is JobStatus.CANCELLED


def test_the_sweeper_sends_an_abandoned_job_again_but_not_a_held_one(fake_clock: FakeClock) -> None:
    job = create_sleep_job(ttl_ms=800_000)
    mine = claim_job(job)
    messages()
    fake_clock.seconds += 121
    mine.extend()
    assert sweep().resent == 0
    # Its worker died before the first look
    dead = claim_job(create_sleep_job(ttl_ms=800_000))
    fake_clock.seconds += 121
    mine.extend()
    assert sweep().resent == 1
    assert read_job(dead.job).look_at > clock.now_ms()


def test_a_deep_queue_gets_no_second_message_but_once_an_hour(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create_sleep_job()
    monkeypatch.setattr(queue, "depth", lambda _: 101)
    for _ in range(5):
        fake_clock.seconds = read_job(job).look_at / 1000
        assert sweep().resent == 0
    fake_clock.seconds += 3_600
    assert sweep().resent == 1


def test_two_sweeps_at_once_do_each_job_once(fake_clock: FakeClock) -> None:
    for _ in range(3):
        create_sleep_job()
    fake_clock.seconds += 121
    assert [sweep().resent, sweep().resent] == [3, 0]


def test_a_sweep_stops_at_its_budget_and_says_so(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_ITEMS", "2")
    settings.cache_clear()
    for _ in range(5):
        create_sleep_job()
    fake_clock.seconds += 121
    first = sweep()
    assert (first.resent, first.left) == (2, True)
    assert sweep().resent == 2
    last = sweep()
    assert (last.resent, last.left) == (1, False)


@pytest.mark.parametrize("body", ["", "nonsense", "{}", '{"job_id": 1}'])
def test_a_dead_letter_that_names_no_job_is_dropped(body: str) -> None:
    assert dead_letters.judge(body) is dead_letters.LetterVerdict.DROPPED


def dead_letter(job: Job) -> dead_letters.LetterVerdict:
    """Judge a message that was sent when the job was in this state."""
    return dead_letters.judge(json.dumps({"job_id": job.id, "ttl_ms": job.ttl_ms, "version": job.version}))


def test_a_dead_letter_is_judged_by_what_its_job_is_now(fake_clock: FakeClock) -> None:
    unclaimed = create_sleep_job(ttl_ms=60_000)
    fake_clock.seconds += settings().dead_letter_seconds
    done, running, dead, late = (create_sleep_job(ttl_ms=60_000) for _ in range(4))
    finish.complete(claim_job(done), {})
    late_claim = claim_job(late, message_id=None)
    claim_job(dead)
    fake_clock.seconds += 40
    claim_job(running)
    messages()

    assert dead_letter(done) is dead_letters.LetterVerdict.DROPPED
    assert dead_letter(running) is dead_letters.LetterVerdict.DROPPED
    assert dead_letter(unclaimed) is dead_letters.LetterVerdict.FAILED
    assert dead_letter(dead) is dead_letters.LetterVerdict.SENT_AFRESH  # another worker may take it over
    fake_clock.seconds = late_claim.deadline / 1000 - 10
    late_claim.extend()
    fake_clock.seconds += 10
    assert dead_letter(late) is dead_letters.LetterVerdict.CANCELLED
    assert read_job(unclaimed).dead_lettered_at
    assert read_job(running).status is JobStatus.RUNNING


def test_a_dead_letter_of_a_job_whose_turn_comes_later_is_sent_afresh(fake_clock: FakeClock) -> None:
    job = create_sleep_job()
    finish.fail(claim_job(job), "boom")
    assert dead_letter(read_job(job)) is dead_letters.LetterVerdict.SENT_AFRESH
    assert read_job(job).status is JobStatus.CREATED


def test_a_message_sent_before_its_job_was_claimed_cannot_fail_it(fake_clock: FakeClock) -> None:
    # Given a job with two messages: it ran with one for minutes, while the other was received again and again
    first = create_sleep_job(max_attempts=5)
    lease = claim_job(first)
    finish.fail(lease, "boom", run_after=clock.now_ms() + 1_000)
    messages()
    # When the other becomes a dead letter although the next attempt has been due for long
    fake_clock.seconds += 10 * settings().dead_letter_seconds
    # Then the job is as it was, and has a message of its present version
    assert dead_letter(first) is dead_letters.LetterVerdict.SENT_AFRESH
    assert (read_job(first).status, read_job(first).attempts) == (JobStatus.CREATED, 1)
    assert messages() == [first.id]
    assert dead_letter(read_job(first)) is dead_letters.LetterVerdict.FAILED


def test_a_job_that_has_not_been_due_for_long_is_not_failed(fake_clock: FakeClock) -> None:
    job = create_sleep_job()
    messages()
    fake_clock.seconds += settings().dead_letter_seconds
    assert dead_letter(job) is dead_letters.LetterVerdict.SENT_AFRESH
    fake_clock.seconds += 1
    assert dead_letter(job) is dead_letters.LetterVerdict.FAILED


def test_a_delayed_job_is_due_from_its_turn_on(fake_clock: FakeClock) -> None:
    job = create_sleep_job(delay_seconds=600)
    fake_clock.seconds += 600 + settings().dead_letter_seconds
    assert dead_letter(job) is dead_letters.LetterVerdict.SENT_AFRESH


def test_a_dead_letter_without_a_version_fails_no_job_and_its_successor_has_one(fake_clock: FakeClock) -> None:
    # Given a message that an earlier release sent
    job = create_sleep_job()
    messages()
    fake_clock.seconds += 10 * settings().dead_letter_seconds
    body = json.dumps({"job_id": job.id, "ttl_ms": job.ttl_ms})
    # When it is judged
    assert dead_letters.judge(body) is dead_letters.LetterVerdict.SENT_AFRESH
    # Then its successor says which version it was sent for, and the job can be claimed with either
    (message,) = receive_messages()
    assert queue.parse(message["Body"]) == queue.JobMessage(job.id, job.ttl_ms, job.version)
    assert queue.parse(body) == queue.JobMessage(job.id, job.ttl_ms, None)
    claim_job(job)


def test_a_job_that_is_retried_while_it_is_judged_is_not_failed(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that was neglected for long, and a judge that has read it
    job = create_sleep_job()
    fake_clock.seconds += 10 * settings().dead_letter_seconds
    original = JobModel.read

    def read_and_be_overtaken(job_id: str) -> Item | None:
        monkeypatch.setattr(JobModel, "read", original)
        item = original(job_id)
        # When its owner cancels and retries it before the judge writes: CREATED again, under the same fence
        cancel_job(job_id, owner="ann", actor="ann")
        retry_job(job_id, owner="ann")
        return item

    monkeypatch.setattr(JobModel, "read", read_and_be_overtaken)
    # Then the verdict is void
    assert dead_letter(job) is dead_letters.LetterVerdict.DROPPED
    assert read_job(job).status is JobStatus.CREATED


def test_the_sweeper_looks_after_a_held_job_whose_message_is_a_dead_letter(fake_clock: FakeClock) -> None:
    # Given a job whose worker keeps a message hidden
    job = create_sleep_job(ttl_ms=840_000)
    outcome = claim.claim(job.id, "w1", message_id="m1")
    assert isinstance(outcome, claim.Claimed)
    messages()
    # When a message of the job, perhaps that one, becomes a dead letter
    with meter_calls() as meter:
        assert dead_letter(job) is dead_letters.LetterVerdict.DROPPED
    assert (meter.count("sqs"), meter.writes("jobs"), meter.write_units()) == (0, 1, 3)
    # And the worker dies
    fake_clock.seconds += settings().lease_seconds + 16
    # Then the sweeper brings the job to another worker, long before its deadline
    assert sweep().resent == 1
    assert messages() == [job.id]
    assert isinstance(claim.claim(job.id, "w2"), claim.Abandoned)


def test_a_second_message_of_a_held_job_is_a_duplicate_and_the_first_is_not(fake_clock: FakeClock) -> None:
    job = create_sleep_job(ttl_ms=60_000)
    first = claim.claim(job.id, "w1", message_id="m1")
    assert isinstance(first, claim.Claimed)

    again, other = claim.claim(job.id, "w2", message_id="m1"), claim.claim(job.id, "w2", message_id="m2")

    assert isinstance(again, claim.NotYet)
    assert isinstance(other, claim.NotYet)
    assert (again.is_duplicate, other.is_duplicate) == (False, True)
    # When the worker dies, the next one holds the job with the message that brought it
    fake_clock.seconds += settings().lease_seconds + 1
    abandoned = claim.claim(job.id, "w2", message_id="m1")
    assert isinstance(abandoned, claim.Abandoned)
    assert isinstance(claim.take_over(abandoned.lease, "w2", message_id="m3"), claim.Claimed)
    late = claim.claim(job.id, "w3", message_id="m1")
    assert isinstance(late, claim.NotYet)
    assert late.is_duplicate


def test_an_end_forgets_the_message(fake_clock: FakeClock) -> None:
    for end in (lambda lease: finish.complete(lease, {}), lambda lease: finish.fail(lease, "boom")):
        job = create_sleep_job()
        outcome = claim.claim(job.id, "w1", message_id="m1")
        assert isinstance(outcome, claim.Claimed)
        assert read_job(job).message_id == "m1"
        end(outcome.lease)
        assert read_job(job).message_id is None
