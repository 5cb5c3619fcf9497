"""An invocation receives more of its queue while slots are free, and lives no longer for it."""

import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from leaseway import aws, clock
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, Options, create_job
from leaseway.jobs.create.placement import Priority
from leaseway.jobs.queue_names import HIGH, LOW, NORMAL, ORDERED, TASKS, Queue
from leaseway.jobs.run.claim import Claimed, claim
from leaseway.settings import settings
from support.job_steps import read_job
from support.odd_executors.quick import HOLD
from worker import intake
from worker.app import handler
from worker.intake import Intake

MINUTE = 60_000
HELD = {"held": True}

pytestmark = pytest.mark.usefixtures("worker_cloud")


class Requests:
    """Counts the calls of SQS, and notes how long each receive waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.waits: list[int] = []
        self._names: list[str] = []
        sqs = aws.client("sqs")
        self._send = sqs._make_api_call
        monkeypatch.setattr(sqs, "_make_api_call", self._count)

    def _count(self, name: str, request: dict[str, Any]) -> Any:
        self.calls[name] += 1
        self._names.append(name)
        if name == "ReceiveMessage":
            self.waits.append(request.get("WaitTimeSeconds", 0))
        return self._send(name, request)

    def have_given_back(self) -> bool:
        """Return whether the visibility of a message was changed after a receive."""
        received = self._names.index("ReceiveMessage") if self.calls["ReceiveMessage"] else len(self._names)
        return any(name.startswith("ChangeMessageVisibility") for name in self._names[received:])


@pytest.fixture
def worker_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.odd_executors")
    settings.cache_clear()


def make(count: int, payload: dict[str, Any] | None = None, **options: Any) -> list[Job]:
    return [create_job("ann", "QUICK", payload or {}, Options(**options)) for _ in range(count)]


def hand_over(source: Queue = NORMAL, most: int = 10) -> dict[str, Any]:
    answer = aws.client("sqs").receive_message(QueueUrl=source.url, MaxNumberOfMessages=most, VisibilityTimeout=900)
    arn = f"arn:aws:sqs:us-east-1:000000000000:{source.url.rpartition('/')[2]}"
    return {
        "Records": [
            {"messageId": m["MessageId"], "receiptHandle": m["ReceiptHandle"], "body": m["Body"], "eventSourceARN": arn}
            for m in answer["Messages"]
        ]
    }


def run(event: dict[str, Any], remaining_ms: int = 15 * MINUTE) -> list[str]:
    """Run the handler, and delete what it reports as settled, as Lambda does; returns the ids of the failures."""
    context = SimpleNamespace(log_stream_name="one", get_remaining_time_in_millis=lambda: remaining_ms)
    answer = handler(event, context)
    failures = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    for record in event["Records"]:
        if record["messageId"] not in failures and "eventSourceARN" in record:
            queue_url = Queue.from_arn(record["eventSourceARN"]).url
            aws.client("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"])
    return failures


def count_messages(source: Queue) -> tuple[int, int]:
    """Messages that are visible, and those that are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=source.url, AttributeNames=names)["Attributes"]
    return int(answer[names[0]]), int(answer[names[1]])


@pytest.mark.parametrize("priority", list(Priority))
def test_one_long_job_does_not_hold_nine_slots(priority: Priority) -> None:
    # Given ten messages handed over, one of them of a job that ends after all others, and twenty-five jobs behind them
    source = {"high": HIGH, "normal": NORMAL, "low": LOW}[priority.value]
    [long] = make(1, HELD, priority=priority)
    short = make(9, priority=priority)
    HOLD.reset(lambda: HOLD.returned == 34)
    event = hand_over(source)
    assert len(event["Records"]) == 10
    short += make(25, priority=priority)

    # When one invocation has ended
    failures = run(event)

    # Then it ran them all, the short ones while the long one ran, and deleted what it received itself
    ended = [read_job(job) for job in (long, *short)]
    assert (failures, {job.status for job in ended}) == ([], {JobStatus.COMPLETED})
    assert {job.worker for job in ended} == {"one"}
    assert {job.attempts for job in ended} == {1}
    assert count_messages(source) == (0, 0)


def test_short_jobs_without_a_backlog_cost_no_receive(monkeypatch: pytest.MonkeyPatch) -> None:
    make(9)
    event, requests = hand_over(), Requests(monkeypatch)

    assert run(event) == []

    assert requests.calls["ReceiveMessage"] == 0
    assert requests.calls["DeleteMessageBatch"] == 0


def test_an_invocation_ends_with_its_jobs_if_the_queue_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    make(10)
    event, requests = hand_over(), Requests(monkeypatch)

    assert run(event) == []

    # One receive at a backlog's end, without a wait. (Jobs that end one by one may cause one more.)
    assert 1 <= requests.calls["ReceiveMessage"] <= 2
    assert set(requests.waits) == {0}


def test_a_backlog_of_short_jobs_is_worked_off_by_one_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make(10)
    event = hand_over()
    jobs += make(40)
    requests = Requests(monkeypatch)

    assert run(event) == []

    assert {read_job(job).status for job in jobs} == {JobStatus.COMPLETED}
    assert requests.calls["DeleteMessageBatch"] <= 8, "not one for each job"


def test_nothing_is_received_that_the_time_left_is_too_short_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a full batch whose longest TTL needs more than is left once it has run
    remaining = iter([100_000] * 10)
    handed, waiting = make(10, ttl_ms=MINUTE), make(3, ttl_ms=MINUTE)
    event, requests = hand_over(), Requests(monkeypatch)
    context = SimpleNamespace(log_stream_name="one", get_remaining_time_in_millis=lambda: next(remaining, 80_000))

    assert handler(event, context) == {"batchItemFailures": []}

    assert requests.calls["ReceiveMessage"] == 0
    assert {read_job(job).status for job in handed} == {JobStatus.COMPLETED}
    assert {read_job(job).status for job in waiting} == {JobStatus.CREATED}


def test_a_received_job_that_needs_more_time_goes_back_and_nothing_more_is_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a full batch of short TTLs, and a job behind it whose TTL is longer than the time left
    make(9), make(1, HELD)
    event = hand_over()
    [far] = make(1, ttl_ms=10 * MINUTE)
    requests = Requests(monkeypatch)
    HOLD.reset(lambda: requests.calls["ReceiveMessage"] > 0)

    # When it runs
    assert run(event, remaining_ms=5 * MINUTE) == []

    # Then that message is visible at once, for another worker, and this one has not received it again
    assert (read_job(far).status, read_job(far).attempts) == (JobStatus.CREATED, 0)
    assert count_messages(NORMAL) == (1, 0)
    assert requests.calls["ReceiveMessage"] == 1


@pytest.mark.parametrize("source", [ORDERED, TASKS, Queue("STORAGE_AUDIT")])
def test_a_queue_that_hands_out_one_job_a_worker_is_not_refilled(source: Queue) -> None:
    refill = Intake(source)

    refill.note_received(1)

    assert refill.seconds_until_due(running=0) == refill.seconds_until_due(running=1) == float("inf")
    assert refill.receive(running=0, wait_at_most=9) == refill.receive(running=1, wait_at_most=9) == []


def test_a_received_job_that_another_worker_holds_is_hidden_and_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    make(9), make(1, HELD)
    event = hand_over()
    [other_job] = make(1)
    message = aws.client("sqs").receive_message(QueueUrl=NORMAL.url, VisibilityTimeout=0)["Messages"][0]
    assert isinstance(claim(other_job.id, "other", message_id=message["MessageId"]), Claimed)
    requests = Requests(monkeypatch)
    HOLD.reset(requests.have_given_back)

    assert run(event) == []

    assert read_job(other_job).worker == "other"
    assert count_messages(NORMAL) == (0, 1)


def test_a_received_job_whose_worker_died_goes_to_a_worker_that_runs_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a full batch, and a job behind it whose worker died
    make(9), make(1, HELD)
    event = hand_over()
    [orphan] = make(1)
    assert isinstance(claim(orphan.id, "dead"), Claimed)
    late = clock.now_ms() / 1000 + settings().lease_seconds + 1
    requests = Requests(monkeypatch)
    HOLD.reset(requests.have_given_back)

    # When this worker receives it, then it gives it back
    with clock.fixed(lambda: late):
        assert run(event) == []
        assert (read_job(orphan).worker, read_job(orphan).status) == ("dead", JobStatus.RUNNING)
        assert count_messages(NORMAL) == (1, 0)

        # And one that is handed it alone takes it over
        assert run(hand_over()) == []
    assert (read_job(orphan).status, read_job(orphan).crashes) == (JobStatus.COMPLETED, 1)


def test_no_more_is_received_while_a_job_waits_to_be_taken_over() -> None:
    [orphan] = make(1)
    assert isinstance(claim(orphan.id, "dead"), Claimed)
    make(9)
    event = hand_over()
    [waiting] = make(1)
    late = clock.now_ms() / 1000 + settings().lease_seconds + 1

    with clock.fixed(lambda: late):
        assert run(event) == []

    assert read_job(orphan).status is JobStatus.COMPLETED
    assert read_job(waiting).status is JobStatus.CREATED


def test_a_queue_that_does_not_answer_disturbs_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make(10, {"wait_ms": 300})
    event = hand_over()
    monkeypatch.setattr(intake, "receive_hidden", fail_to_receive)

    assert run(event) == []

    assert {read_job(job).status for job in jobs} == {JobStatus.COMPLETED}


def fail_to_receive(*_: Any, **__: Any) -> None:
    raise UnavailableError("the queue does not answer") from EndpointConnectionError(endpoint_url="x")


def test_a_message_that_could_not_be_deleted_runs_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an invocation that received a job's message itself and could not delete it
    make(9), make(1, {"wait_ms": 500})
    event = hand_over()
    [job] = make(1)
    with monkeypatch.context() as patch:
        patch.setattr("leaseway.jobs.queue.delete", lambda *_: None)
        assert run(event) == []
    assert (read_job(job).status, count_messages(NORMAL)) == (JobStatus.COMPLETED, (0, 1))

    # When the message comes back
    again = {"messageId": "again", "receiptHandle": "a receipt", "body": f'{{"job_id":"{job.id}","ttl_ms":1}}'}

    # Then nothing is left to do
    assert run({"Records": [again]}) == []
    assert read_job(job).attempts == 1


def test_a_receive_waits_for_a_tenth_of_the_invocations_age_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], []
    monkeypatch.setattr(intake, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(intake, "receive_hidden", lambda *_, wait_seconds, **__: waits.append(wait_seconds) or [])
    refill = Intake(NORMAL)
    for age in (0.5, 1.5, 9, 25, 60, 300, 800):
        now[0] = age
        refill.receive(running=1, wait_at_most=9.9)
    now[0] = 802
    refill.receive(running=1, wait_at_most=3.2)
    now[0] = 900
    refill.receive(running=0, wait_at_most=9.9)
    refill.close()
    refill.receive(running=1, wait_at_most=9.9)

    assert waits == [0, 0, 2, 6, 8, 8, 3]


def test_jobs_that_end_one_by_one_cost_less_than_a_receive_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(intake, "time", SimpleNamespace(monotonic=lambda: now[0]))
    refill = Intake(NORMAL)
    refill.note_received(10)

    assert [refill.seconds_until_due(running) for running in (10, 9, 5, 0)] == [float("inf"), 0, 0, 0]
    monkeypatch.setattr(intake, "receive_hidden", lambda *_, most, **__: message_bodies(most))
    refill.receive(running=9, wait_at_most=0)
    assert refill.seconds_until_due(running=9) == pytest.approx(0.1)
    assert refill.seconds_until_due(running=5) == 0


def message_bodies(most: int) -> list[Any]:
    return [SimpleNamespace(message_id="m", receipt="r", body='{"job_id":"j","ttl_ms":1}')] * most


def test_the_slots_are_never_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given workers of three jobs
    monkeypatch.setenv("WORKER_POOL_SIZE", "3")
    settings.cache_clear()
    jobs = make(3, {"wait_ms": 20})
    event = hand_over(most=3)
    jobs += make(12, {"wait_ms": 20})
    at_a_time: list[int] = []
    started = threading.Thread.start

    def count(thread: threading.Thread) -> None:
        at_a_time.append(sum("execute" in each.name for each in threading.enumerate()))
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", count)

    assert run(event) == []

    assert {read_job(job).status for job in jobs} == {JobStatus.COMPLETED}
    assert max(at_a_time) <= 3
