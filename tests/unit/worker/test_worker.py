"""The worker's handler on one batch, against SQS and DynamoDB in memory."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core.utils import utcnow

from leaseway import aws, clock
from leaseway.jobs import Job, JobStatus, Options, create_job, queue
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.queue_names import NORMAL, ORDERED, Queue
from leaseway.jobs.run import claim, finish
from leaseway.settings import require_setting, settings
from support.job_steps import read_job
from support.worker_programs.running import run_program
from worker.app import handler
from worker.batch import Batch

pytestmark = pytest.mark.usefixtures("worker_cloud")

MINUTE = 60_000


@pytest.fixture
def worker_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.odd_executors")
    settings.cache_clear()


def context(remaining_ms: int = 15 * MINUTE) -> SimpleNamespace:
    return SimpleNamespace(log_stream_name="stream-1", get_remaining_time_in_millis=lambda: remaining_ms)


def quick(**options: Any) -> Job:
    return create_job("ann", "QUICK", options.pop("payload", {}), Options(**options))


def receive(count: int = 10, source: Queue = NORMAL) -> dict:
    answer = aws.client("sqs").receive_message(QueueUrl=source.url, MaxNumberOfMessages=count)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{source.url.rpartition('/')[2]}"
    return {
        "Records": [
            {"messageId": m["MessageId"], "receiptHandle": m["ReceiptHandle"], "body": m["Body"], "eventSourceARN": arn}
            for m in answer["Messages"]
        ]
    }


def read_failures(answer: dict) -> set[str]:
    return {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}


def test_a_batch_runs_and_every_message_is_settled() -> None:
    jobs = [quick() for _ in range(10)]

    answer = handler(receive(), context())

    assert read_failures(answer) == set()
    assert {read_job(job).status for job in jobs} == {JobStatus.COMPLETED}
    assert {read_job(job).worker for job in jobs} == {"stream-1"}


def test_a_failing_job_leaves_its_neighbours_alone() -> None:
    bad = quick(payload={"error": "boom"}, max_attempts=1)
    good = quick()

    answer = handler(receive(), context())

    assert read_failures(answer) == set()
    assert (read_job(bad).status, read_job(bad).error_message) == (JobStatus.FAILED, "RuntimeError: boom")
    assert read_job(good).status is JobStatus.COMPLETED


def test_a_message_that_is_no_jobs_stays_for_the_dead_letter_queue() -> None:
    aws.client("sqs").send_message(QueueUrl=require_setting("jobs_queue_url"), MessageBody="nonsense")
    good = quick()
    event = receive()

    answer = handler(event, context())

    assert read_failures(answer) == {r["messageId"] for r in event["Records"] if r["body"] == "nonsense"}
    assert read_job(good).status is JobStatus.COMPLETED


def test_a_job_without_time_for_its_ttl_is_not_claimed() -> None:
    long, short = quick(ttl_ms=MINUTE), quick(ttl_ms=1_000)
    event = receive()

    answer = handler(event, context(remaining_ms=40_000))

    assert read_failures(answer) == {r["messageId"] for r in event["Records"] if long.id in r["body"]}
    assert (read_job(long).status, read_job(long).attempts) == (JobStatus.CREATED, 0)
    assert read_job(short).status is JobStatus.COMPLETED


def test_a_message_whose_job_another_worker_holds_under_it_stays_in_the_queue() -> None:
    # Given a message that came twice, as SQS may deliver it
    job = quick()
    event = receive()
    claimed = claim.claim(job.id, "other", message_id=event["Records"][0]["messageId"])

    answer = handler(event, context())

    assert read_failures(answer) == {event["Records"][0]["messageId"]}
    assert isinstance(claimed, claim.Claimed)
    assert finish.complete(claimed.lease, {"by": "other"}) is JobStatus.COMPLETED


def test_a_second_message_of_a_held_job_is_deleted_and_the_first_brings_the_job_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a job with two messages, held by a worker under the one
    job = quick()
    first = receive()
    claimed = claim.claim(job.id, "dead worker", message_id=first["Records"][0]["messageId"])
    assert isinstance(claimed, claim.Claimed)
    assert queue.send([queue.build_message(job)]) == 1
    # When the other is delivered, then it is done with
    assert read_failures(handler(receive(), context())) == set()
    assert read_job(job).status is JobStatus.RUNNING
    # And when the worker has died, the one that it held brings the job back
    later = clock.now_ms() / 1000 + settings().lease_seconds + 1
    with clock.fixed(lambda: later):
        assert read_failures(handler(first, context())) == set()
    assert (read_job(job).status, read_job(job).crashes) == (JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("order_key", [None, "k"])
def test_if_the_process_dies_before_a_claim_the_message_is_back_after_a_lease_not_the_queues_900_seconds(
    monkeypatch: pytest.MonkeyPatch, order_key: str | None
) -> None:
    # Given a message that Lambda received, for as long as an invocation may last
    source = NORMAL if order_key is None else ORDERED
    job = quick(order_key=order_key)
    event = receive(source=source)

    class ProcessDiedError(BaseException):
        """No code of the worker runs after it."""

    def die(*_: object) -> None:
        raise ProcessDiedError

    # When the process dies before it has claimed anything
    with monkeypatch.context() as dying:
        dying.setattr(Batch, "_claim", die)
        with pytest.raises(ProcessDiedError):
            handler(event, context())

    # Then the message is back when a lease would have ended
    back = utcnow() + timedelta(seconds=settings().lease_seconds + 10)
    monkeypatch.setattr("moto.core.utils.utcnow", lambda: back)
    assert [job.id in record["body"] for record in receive(source=source)["Records"]] == [True]


def test_where_order_is_kept_a_second_message_keeps_its_place() -> None:
    job = quick(order_key="k")
    event = receive(source=ORDERED)
    claim.claim(job.id, "other", message_id="another message")
    assert read_failures(handler(event, context())) == {event["Records"][0]["messageId"]}


def test_of_jobs_that_died_together_one_is_taken_over_and_the_rest_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [quick() for _ in range(3)]
    later = clock.now_ms() / 1000 + settings().lease_seconds + 1
    for job in jobs:
        assert isinstance(claim.claim(job.id, "dead worker"), claim.Claimed)
    event = receive()

    with clock.fixed(lambda: later):
        answer = handler(event, context())
        again = handler(receive(), context())

    assert len(read_failures(answer)) == 2
    assert len(read_failures(again)) == 1
    states = sorted((read_job(job).status.value, read_job(job).crashes) for job in jobs)
    assert states == [("COMPLETED", 1), ("COMPLETED", 1), ("RUNNING", 0)]


def test_a_worker_whose_lease_was_taken_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    job = quick()

    def steal(claimed: Job, *_: object) -> JobStatus:
        raise LeaseLostError(job_id=claimed.id)

    monkeypatch.setattr(finish, "complete", steal)
    event = receive()

    assert read_failures(handler(event, context())) == {event["Records"][0]["messageId"]}
    assert read_job(job).status is JobStatus.RUNNING


def test_a_long_neighbour_redelivers_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each heartbeat the finished jobs' messages are deleted in one call and the running one's lease extended."""
    monkeypatch.setenv("LEASE_SECONDS", "3")
    settings.cache_clear()
    calls: list[tuple[str, int]] = []
    sqs = aws.client("sqs")
    original = sqs._make_api_call

    def call_and_count(name: str, request: dict) -> dict[str, Any]:
        calls.append((name, len(request.get("Entries", []))))
        return original(name, request)

    for _ in range(9):
        quick()
    long = quick(payload={"wait_ms": 2_500})
    event = receive()
    monkeypatch.setattr(sqs, "_make_api_call", call_and_count)

    answer = handler(event, context())

    assert read_failures(answer) == set()
    assert read_job(long).lease_until is None
    assert calls.count(("DeleteMessageBatch", 9)) == 1
    assert calls.count(("ChangeMessageVisibilityBatch", 1)) >= 2


def test_heartbeats_and_hiding_follow_the_lease_of_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a job whose type has a lease of 5 s, in a deployment with one of 30
    job = create_job("ann", "LEASED", {"wait_ms": 3_000})
    event = receive()
    hidden: list[int] = []
    extended: list[int] = []
    hide, extend = queue.hide, Lease.extend

    def note_hiding(hidings: Sequence[queue.Hiding], source: Queue) -> None:
        hidden.extend(hiding.seconds for hiding in hidings)
        hide(hidings, source)

    def note_heartbeat(lease: Lease, *, is_repeated: bool = False) -> Lease:
        after = extend(lease, is_repeated=is_repeated)
        extended.append(after.until - lease.until)
        return after

    monkeypatch.setattr(queue, "hide", note_hiding)
    monkeypatch.setattr(Lease, "extend", note_heartbeat)

    # When a worker runs it for 3 s
    assert read_failures(handler(event, context())) == set()

    # Then its message was hidden for the short lease after the claim, and again after a heartbeat
    assert read_job(job).status is JobStatus.COMPLETED
    assert len(extended) >= 1
    received, *for_the_lease = hidden
    assert received > settings().lease_seconds
    assert len(for_the_lease) >= 2
    assert all(seconds <= 11 for seconds in for_the_lease)


def test_an_executor_that_outlives_its_deadline_ends_the_process_after_its_neighbours() -> None:
    ended = run_program("stuck_batch")

    assert ended.returncode == 1, ended.stderr
    assert ended.stdout.splitlines()[-1:] == ["CANCELLED COMPLETED 0 0"], ended.stderr
    assert any(line.startswith('{"_aws"') for line in ended.stdout.splitlines()), "its metrics"
