"""The sweep: what comes first, what costs nothing, and that nothing stops it. Clocks stand; calls come one by one."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from leaseway import aws, clock
from leaseway.dynamodb.query import Query
from leaseway.dynamodb.table import Item
from leaseway.jobs import Job, JobStatus, Options, create_job, queue
from leaseway.jobs.control.control import apply_as_seen, plan_retry
from leaseway.jobs.create.options import Priority
from leaseway.jobs.lease import TAKEOVER_GRACE_MS
from leaseway.jobs.queue_names import NORMAL, Queue
from leaseway.jobs.run import finish
from leaseway.jobs.run.claim import Claimed, claim
from leaseway.jobs.table import JobModel, live_key
from leaseway.jobs.upkeep import sweep as sweeping
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import require_setting, settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import make_client_error
from support.job_steps import claim_job, create_sleep_job, read_job

pytestmark = pytest.mark.usefixtures("cloud")

SHARDS = 16
MINUTE = 60
HOUR = 3_600


@pytest.fixture(autouse=True)
def forget_positions() -> None:
    sweeping._resume.clear()


def set_limits(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    for name, limit in limits.items():
        monkeypatch.setenv(name.upper(), str(limit))
    settings.cache_clear()


def make_deep(monkeypatch: pytest.MonkeyPatch, *deep: Queue) -> None:
    monkeypatch.setattr(queue, "depth", lambda of: 101 if of in deep else 0)


def shard_of(job: Job) -> int:
    return zlib.crc32(job.id.encode()) % SHARDS


def next_look(job: Job) -> int:
    """When the sweeper looks at the job next (ms)."""
    look_at = read_job(job).look_at
    assert look_at is not None
    return look_at


def turn_of(job: Job) -> int:
    assert job.run_after is not None
    return job.run_after


def in_shard(shard: int, create: Callable[[], Job]) -> Job:
    """Create jobs until one is in the shard."""
    return next(job for job in iter(create, None) if shard_of(job) == shard)


def receive_job_ids(name: str = "jobs_queue_url") -> list[str]:
    answer = aws.client("sqs").receive_message(QueueUrl=require_setting(name), MaxNumberOfMessages=10)
    return [queue.parse(message["Body"]).job_id for message in answer.get("Messages", [])]


def delays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `DelaySeconds` of what is sent from now on."""
    seen: list[int] = []
    send = queue._build_entry

    def build(position: int, outgoing: queue.Outgoing) -> Any:
        seen.append(outgoing.delay_seconds)
        return send(position, outgoing)

    monkeypatch.setattr(queue, "_build_entry", build)
    return seen


def change_item(job: Job, **values: Any) -> None:
    """Set attributes of a job's item, past all of its rules."""
    item = aws.client("dynamodb").get_item(TableName=require_setting("jobs_table"), Key={"id": {"S": job.id}})["Item"]
    aws.client("dynamodb").put_item(TableName=require_setting("jobs_table"), Item={**item, **values})


def fail_writes(monkeypatch: pytest.MonkeyPatch, job: Job, failure: Exception, times: int = 1) -> None:
    """Let the next writes of a job fail."""
    change, left = JobModel.change, [failure] * times

    def meddle(key: str, *arguments: Any) -> Item:
        if key == job.id and left:
            raise left.pop()
        return change(key, *arguments)

    monkeypatch.setattr(JobModel, "change", meddle)


# What comes first


def test_no_shard_waits_for_another(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given several jobs in each shard, and a sweep that may settle as many as there are shards
    jobs = [create_sleep_job() for _ in range(60)]
    set_limits(monkeypatch, sweep_items=SHARDS)
    fake_clock.move(minutes=2)

    # When it comes
    sweep()

    # Then it has looked at a job of every shard
    moved = {shard_of(job) for job in jobs if next_look(job) > clock.now_ms()}
    assert moved == {shard_of(job) for job in jobs}


def test_a_delayed_job_comes_before_all_that_wait(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a job that is due in twenty minutes, and older ones that wait in every shard
    set_limits(monkeypatch, sweep_items=1)
    for _ in range(40):
        create_sleep_job()
    later = create_sleep_job(delay_seconds=20 * MINUTE)
    seen = delays(monkeypatch)
    fake_clock.move(seconds=20 * MINUTE - 450)

    # When one sweep comes
    report = sweep()

    # Then the delayed job has its message, and one of the others a second one
    assert report.resent == 2
    assert sorted(seen) == [0, 450]
    assert next_look(later) == turn_of(later) + 120_000


def test_a_job_past_its_deadline_comes_before_all_that_wait(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that a sweep saw at work, without a message, and others that wait longer than it has to live
    running = create_sleep_job(ttl_ms=500_000)
    lease = claim_job(running, message_id=None)
    for _ in range(40):
        create_sleep_job()
    fake_clock.move(minutes=2)
    lease.extend()
    sweep()
    set_limits(monkeypatch, sweep_items=1)

    # When its deadline has passed, until which its worker has held it
    fake_clock.move(seconds=370)
    lease.extend()
    fake_clock.move(seconds=10)
    report = sweep()

    # Then it is cancelled by the next sweep
    assert report.cancelled == 1
    assert read_job(running).status is JobStatus.CANCELLED


def test_a_delayed_job_of_an_earlier_release_is_sent(fake_clock: FakeClock) -> None:
    """It stands in the shards of waiting jobs."""
    later = create_sleep_job(delay_seconds=20 * MINUTE)
    change_item(later, live_key={"S": live_key(later.id)})
    fake_clock.move(seconds=20 * MINUTE - 450)

    assert sweep().resent == 1
    assert next_look(later) == turn_of(later) + 120_000


def test_a_long_shard_is_read_to_its_end_by_several_sweeps(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a shard with more jobs behind a deep queue than a sweep reads, and the last of them lost its message
    monkeypatch.setattr(sweeping, "_READ_OF_A_SHARD", 1)
    monkeypatch.setattr(sweeping, "READ_TOGETHER", 1)
    make_deep(monkeypatch, NORMAL)
    for _ in range(3):
        in_shard(5, create_sleep_job)
        fake_clock.move(seconds=1)
    lost = in_shard(5, lambda: create_job("ann", "SLEEP", {"duration_ms": 1}, Options(priority=Priority.HIGH)))
    receive_job_ids("high_queue_url")
    fake_clock.move(minutes=2)

    # When sweeps follow each other
    moved = []
    for _ in range(4):
        sweep()
        moved.append(next_look(lost) > clock.now_ms())

    # Then each reads on where the one before it stopped
    assert moved == [False, False, False, True]


# What costs nothing


def test_a_job_that_waits_behind_a_deep_queue_costs_no_write(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deep(monkeypatch, NORMAL)
    for _ in range(5):
        create_sleep_job()
    for _ in range(11):
        fake_clock.move(minutes=5)
        with meter_calls() as meter:
            assert sweep().resent == 0
        assert meter.writes() == 0


def test_a_healthy_long_job_is_looked_at_once_before_its_deadline(fake_clock: FakeClock) -> None:
    lease = claim_job(create_sleep_job(ttl_ms=840_000))
    writes = 0
    for _ in range(13):
        fake_clock.move(minutes=1)
        lease.extend()
        with meter_calls() as meter:
            sweep()
        writes += meter.writes()

    assert writes == 1
    assert finish.complete(lease, {"slept_ms": 1}) is JobStatus.COMPLETED


def test_a_healthy_long_job_in_a_queue_of_its_type_is_looked_at_once_too(fake_clock: FakeClock) -> None:
    created = create_job("ann", "STORAGE_AUDIT", {}, Options(ttl_ms=840_000))
    outcome = claim(created.id, "w1", message_id="m1")
    assert isinstance(outcome, Claimed)
    lease = outcome.lease
    moved = 0
    for _ in range(13):
        fake_clock.move(minutes=1)
        lease.extend()
        moved += sweep().moved

    assert moved == 1


def test_a_long_jobs_next_attempt_is_looked_at_after_its_own_deadline(fake_clock: FakeClock) -> None:
    """A takeover starts the time to live again."""
    lease = claim_job(create_sleep_job(ttl_ms=600_000))
    fake_clock.move(minutes=2)
    lease.extend()
    assert sweep().moved == 1
    change_item(lease.job, deadline={"N": str(lease.deadline + 300_000)})

    fake_clock.seconds = (lease.deadline + TAKEOVER_GRACE_MS) / 1000
    lease.extend()

    assert (sweep().moved, sweep().cancelled) == (1, 0)
    assert next_look(lease.job) == lease.deadline + 300_000 + TAKEOVER_GRACE_MS


def test_a_job_whose_message_and_worker_are_lost_is_sent_again_after_its_deadline(fake_clock: FakeClock) -> None:
    # Given a job that a sweep saw at work; its worker dies shortly before the deadline, and its message is lost
    lease = claim_job(create_sleep_job(ttl_ms=300_000))
    fake_clock.move(minutes=2)
    lease.extend()
    assert sweep().moved == 1
    fake_clock.seconds = lease.deadline / 1000 - 1
    lease.extend()

    # When a sweep comes before its lease has ended, then it looks again afterwards
    fake_clock.move(seconds=16)
    assert (sweep().moved, sweep().resent) == (1, 0)
    fake_clock.move(seconds=30)
    assert (sweep().resent, sweep().cancelled) == (1, 0)


# Messages


def test_the_delay_counts_from_the_send(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a sweep whose writes take a while
    later = create_sleep_job(delay_seconds=20 * MINUTE)
    fake_clock.move(seconds=20 * MINUTE - 450)
    change, seen = JobModel.change, delays(monkeypatch)

    def take_a_while(*arguments: Any) -> Item:
        item = change(*arguments)
        fake_clock.move(seconds=40)
        return item

    monkeypatch.setattr(JobModel, "change", take_a_while)

    # When it sends a delayed job
    assert sweep().resent == 1

    # Then the message is there when its turn comes
    assert seen == [410]
    assert clock.now_ms() + seen[0] * 1000 == turn_of(later)


def test_an_ordered_job_that_is_replayed_has_its_message_in_time(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a dead letter that keeps an order, which is replayed in twenty minutes
    job = create_job("ann", "SLEEP", {"duration_ms": 1}, Options(order_key="a"))
    assert receive_job_ids("ordered_queue_url") == [job.id]
    finish.give_up(job, "no worker claimed it", dead_lettered=True)
    turn = clock.now_ms() + 20 * MINUTE * 1000
    again = apply_as_seen(read_job(job), partial(plan_retry, run_after=turn))
    seen = delays(monkeypatch)
    fake_clock.seconds = next_look(again) / 1000

    # When the sweeper looks at it before its turn
    assert clock.now_ms() < turn
    report = sweep()

    # Then its message is sent; a worker that is too early hides it
    assert (report.resent, len(seen)) == (1, 1)


def test_a_job_whose_message_sqs_refuses_is_sent_a_minute_later_however_deep_its_queue_is(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a delayed job, and a sweep that SQS takes no message from
    later = create_sleep_job(delay_seconds=20 * MINUTE)
    fake_clock.move(seconds=20 * MINUTE)
    with monkeypatch.context() as broken:
        broken.setattr(queue, "_build_entry", _raise(ConnectTimeoutError(endpoint_url="sqs")))
        report = sweep()
    assert (report.resent, report.failed) == (0, 1)

    # When the next one comes
    make_deep(monkeypatch, NORMAL)
    fake_clock.move(minutes=1)

    # Then it is sent, and is one of those that wait
    assert sweep().resent == 1
    assert receive_job_ids() == [later.id]
    fake_clock.move(minutes=5)
    assert sweep().resent == 0


def test_a_queue_that_takes_no_message_costs_each_job_nothing(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(40):
        create_sleep_job()
    fake_clock.move(minutes=2)
    monkeypatch.setattr(queue, "_build_entry", _raise(ConnectTimeoutError(endpoint_url="sqs")))

    with meter_calls() as meter:
        report = sweep()

    # The first ten are moved, found without a message, and moved back
    assert meter.writes() == 20
    assert (report.failed, report.resent, report.left) == (40, 0, True)


def _raise(failure: Exception) -> Callable[..., Any]:
    def raise_it(*_: Any) -> Any:
        raise failure

    return raise_it


# What fails stops no other


def test_a_status_of_another_release_stops_no_other_job(fake_clock: FakeClock) -> None:
    # Given an item that this release cannot read, and a job past its deadline
    unknown = create_sleep_job()
    change_item(unknown, status={"S": "BLOCKED"})
    running = create_sleep_job(ttl_ms=1_000)
    claim_job(running, message_id=None)

    # When a day of sweeps comes
    fake_clock.move(minutes=2)
    first = sweep()
    fake_clock.move(minutes=30)
    second = sweep()
    fake_clock.move(minutes=30)
    third = sweep()

    # Then the job is cancelled by the first, and the item is looked at once an hour
    assert (first.cancelled, first.set_aside) == (1, 1)
    assert (second.set_aside, third.set_aside) == (0, 1)
    assert read_job(running).status is JobStatus.CANCELLED


@pytest.mark.parametrize("attribute", ["owner", "ttl_ms", "updated_at", "history"])
def test_an_item_that_cannot_be_read_stops_no_other_job(fake_clock: FakeClock, attribute: str) -> None:
    broken, healthy = create_sleep_job(), create_sleep_job()
    change_item(broken, **{attribute: {"BOOL": True}})
    fake_clock.move(minutes=2)

    report = sweep()

    assert report.resent >= 1
    assert next_look(healthy) > clock.now_ms()


def test_a_retired_queue_stops_no_other_job(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given jobs of a type whose queue the deployment has no more: one waits, one is delayed, one lost its worker
    waiting = create_job("ann", "EXTERNAL", {})
    delayed = create_job("ann", "EXTERNAL", {}, Options(delay_seconds=1_000))
    running = claim_job(create_job("ann", "EXTERNAL", {}, Options(ttl_ms=800_000)))
    healthy = create_sleep_job()
    urls = [pair for pair in settings().type_queue_urls.split(",") if not pair.startswith("EXTERNAL=")]
    monkeypatch.setenv("TYPE_QUEUE_URLS", ",".join(urls))
    settings.cache_clear()
    fake_clock.move(seconds=600)

    # When a sweep comes
    report = sweep()

    # Then the others are sent, and these are looked at in an hour
    assert (report.resent, report.set_aside) == (1, 3)
    assert next_look(healthy) > clock.now_ms()
    assert {next_look(job) for job in (waiting, delayed, running.job)} == {clock.now_ms() + HOUR * 1000}


def test_a_queue_whose_depth_is_unknown_counts_as_deep(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a queue that this function may not ask
    create_sleep_job()
    later = create_sleep_job(delay_seconds=20 * MINUTE)
    monkeypatch.setattr(queue, "depth", _raise(make_client_error("AccessDenied", 403, "GetQueueAttributes")))
    fake_clock.move(seconds=20 * MINUTE - 450)

    # When a sweep comes
    report = sweep()

    # Then the job that waits is left, and the one that is delayed is sent
    assert (report.looked, report.resent) == (2, 1)
    assert next_look(later) == turn_of(later) + 120_000


@pytest.mark.parametrize(
    "failure",
    [
        make_client_error("ThrottlingException", 400),
        make_client_error("InternalServerError", 500),
        ConnectTimeoutError(endpoint_url="dynamodb"),
    ],
    ids=["throttled", "server error", "no answer"],
)
def test_a_call_that_may_succeed_later_leaves_the_look_due(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    unlucky = create_sleep_job(delay_seconds=20 * MINUTE)
    for _ in range(20):
        create_sleep_job(delay_seconds=20 * MINUTE)
    fake_clock.move(seconds=20 * MINUTE - 450)
    fail_writes(monkeypatch, unlucky, failure)

    first, second = sweep(), sweep()

    assert (first.resent, first.failed, first.set_aside, first.left) == (20, 1, 0, True)
    assert second.resent == 1


def test_a_write_that_is_refused_sets_its_job_aside(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    odd, healthy = create_sleep_job(), create_sleep_job()
    fake_clock.move(minutes=2)
    fail_writes(monkeypatch, odd, make_client_error("ValidationException", 400))

    report = sweep()

    assert (report.resent, report.set_aside) == (1, 1)
    assert next_look(odd) == clock.now_ms() + HOUR * 1000
    assert next_look(healthy) < clock.now_ms() + HOUR * 1000


def test_a_shard_that_cannot_be_read_stops_no_other(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    unread, healthy = in_shard(3, create_sleep_job), in_shard(4, create_sleep_job)
    fake_clock.move(minutes=2)
    page = Query.page

    def fail_in_shard_3(query: Query, **options: Any) -> Any:
        if query.key == ("live_key", "3"):
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "Query")
        return page(query, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Query, "page", fail_in_shard_3)
        report = sweep()

    assert (report.unread_shards, report.left) == (1, True)
    assert next_look(healthy) > clock.now_ms()
    assert next_look(unread) <= clock.now_ms()
    assert sweep().unread_shards == 0


def test_a_message_to_a_queue_that_does_not_exist_is_reported_not_raised() -> None:
    job = msgspec.structs.replace(create_sleep_job(), queue="RETIRED")

    assert queue.send([queue.build_message(job)]) == 0


# Lag


def test_the_lag_is_that_of_the_most_overdue_look_in_any_shard(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given sweeps that may settle one look, and a delayed job in the last shard behind one in the first
    first = in_shard(0, lambda: create_sleep_job(delay_seconds=1_000))
    fake_clock.seconds = first.created_at / 1000 + 1
    last = in_shard(SHARDS - 1, lambda: create_sleep_job(delay_seconds=1_000))
    set_limits(monkeypatch, sweep_items=1)
    overdue = 7 * MINUTE * 1000
    fake_clock.seconds = (min(next_look(first), next_look(last)) + overdue) / 1000

    assert sweep().lag_ms == overdue


def test_jobs_that_wait_behind_a_deep_queue_are_no_lag(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    make_deep(monkeypatch, NORMAL)
    create_sleep_job()
    fake_clock.move(minutes=40)

    assert (sweep().looked, sweep().lag_ms) == (1, 0)
