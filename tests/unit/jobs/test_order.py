"""Order: jobs of one key go through a FIFO queue as one group, and none gives up its place in it."""

import json
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import Job, JobStatus, Options, cancel_job, create_job, get_job, queue, retry_job
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.options import JobRequest, Priority
from leaseway.jobs.queue_names import ORDERED
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import settings
from support.api_gateway import post
from worker.app import handler

pytestmark = pytest.mark.usefixtures("cloud")

SLEEP = {"duration_ms": 1}
PICTURE = {"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1}
KEY = IdempotencyKey("ann", "POST /there", "key")


@pytest.fixture
def entries_sent() -> Any:
    """What is sent, entry by entry."""
    entries: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        entries.extend({"queue": params["QueueUrl"]} | entry for entry in params["Entries"])

    events = aws.client("sqs").meta.events
    events.register("before-parameter-build.sqs.SendMessageBatch", note)
    yield entries
    events.unregister("before-parameter-build.sqs.SendMessageBatch", note)


def create_ordered_job(order_key: str = "k", *, key: IdempotencyKey | None = None, **options: Any) -> Job:
    return create_job("ann", "SLEEP", SLEEP, Options(order_key=order_key, **options), key=key)


def in_queue() -> list[str]:
    """Ids of the jobs whose messages wait, in the order of the queue."""
    sqs = aws.client("sqs")
    messages = sqs.receive_message(QueueUrl=ORDERED.url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(message["Body"])["job_id"] for message in messages.get("Messages", [])]


def receive() -> dict[str, Any]:
    """The first message, as its mapping hands it over."""
    (message,) = aws.client("sqs").receive_message(QueueUrl=ORDERED.url, MaxNumberOfMessages=1)["Messages"]
    names = {"messageId": "MessageId", "receiptHandle": "ReceiptHandle", "body": "Body"}
    arn = "arn:aws:sqs:us-east-1:123456789012:ordered.fifo"
    return {name: message[theirs] for name, theirs in names.items()} | {"eventSourceARN": arn}


class Invocation:
    """The context that Lambda passes to a handler."""

    log_stream_name = "worker-1"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 900_000


def test_a_group_is_one_owners_key(entries_sent: list[dict[str, Any]]) -> None:
    mine = [create_ordered_job(), create_ordered_job(), create_ordered_job("another")]
    create_job("ben", "SLEEP", SLEEP, Options(order_key="k"))

    groups = [entry["MessageGroupId"] for entry in entries_sent]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert {entry["queue"] for entry in entries_sent} == {ORDERED.url}
    assert all("DelaySeconds" not in entry for entry in entries_sent), "FIFO queues refuse it"
    assert get_job(mine[0].id, owner="ann").order_key == "k"


def test_what_is_sent_twice_within_minutes_is_taken_once() -> None:
    job = create_ordered_job()

    assert queue.send([queue.build_message(job)]) == 1

    assert in_queue() == [job.id]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"priority": Priority.HIGH}, "no priority"),
        ({"delay_seconds": 5}, "not at a time"),
        ({"run_at": 2**41}, "not at a time"),
        ({"key": KEY, "priority": Priority.LOW}, "no priority"),
    ],
)
def test_an_order_excludes_a_priority_and_a_time(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        create_ordered_job(**options)


@pytest.mark.parametrize("key", ["", "x" * 129, "a\nb"])
def test_a_key_has_bounds_over_http(key: str) -> None:
    answer = post("/api/v1/jobs", {"type": "SLEEP", "payload": SLEEP, "order_key": key})

    assert (answer.status, answer.json["field"]) == (400, "order_key")


@pytest.mark.parametrize("type_name", ["STORAGE_AUDIT", "MESSAGE"])
def test_a_type_with_a_queue_of_its_own_keeps_no_order(type_name: str) -> None:
    with pytest.raises(InvalidInputError, match="a queue of their own"):
        create_job("ann", type_name, {}, Options(order_key="k"))


def test_a_failed_attempt_keeps_its_message_hidden_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a job that fails, and one behind it
    hidden: list[int] = []
    real = queue.hide

    def hide(hidings: Any, of: Any) -> None:
        hidden.extend(hiding.seconds for hiding in hidings)
        real(hidings, of)

    monkeypatch.setattr(queue, "hide", hide)
    first, second = create_job("ann", "IMAGE_RESIZE", PICTURE, Options(order_key="k")), create_ordered_job()
    record = receive()
    # When a worker runs it
    answer = handler({"Records": [record]}, Invocation)
    # Then its message stays, hidden for the backoff, and no other is sent: the one behind it waits
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    job = get_job(first.id, owner="ann")
    assert (job.status, job.attempts) == (JobStatus.CREATED, 1)
    assert job.run_after is not None
    assert hidden[-1] <= settings().backoff_base_ms / 1000 + 1
    counts = aws.client("sqs").get_queue_attributes(QueueUrl=ORDERED.url, AttributeNames=["All"])["Attributes"]
    assert int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"]) == 2
    assert get_job(second.id, owner="ann").status is JobStatus.CREATED


def test_the_last_failed_attempt_gives_its_place_up() -> None:
    job = create_job("ann", "IMAGE_RESIZE", PICTURE, Options(order_key="k", max_attempts=1))

    assert handler({"Records": [receive()]}, Invocation) == {"batchItemFailures": []}

    assert get_job(job.id, owner="ann").status is JobStatus.FAILED


def test_the_sweeper_sends_no_second_message_for_a_retry_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOFF_BASE_MS", "60000")
    monkeypatch.setenv("FIRST_LOOK_SECONDS", "1")
    settings.cache_clear()
    job = create_ordered_job()
    outcome = claim.claim(job.id, "w1")
    assert isinstance(outcome, claim.Claimed)
    finish.fail(outcome.lease, "no luck", run_after=clock.now_ms() + 1_000_000)  # beyond what SQS delays
    JobModel.change(job.id, [JobModel.look_at.set(1)], JobModel.id.exists())
    later = clock.now_ms() / 1000 + 500
    with clock.fixed(lambda: later):
        report = sweep()

    assert (report.moved, report.resent) == (1, 0)


def test_a_job_tried_again_by_hand_is_sent_again() -> None:
    first, second = create_ordered_job(), create_ordered_job()
    cancel_job(first.id, owner="ann", actor="ann")

    retry_job(first.id, owner="ann")

    # The first message brings it where it was, and the other finds nothing to do
    assert in_queue() == [first.id, second.id, first.id]


def test_a_batch_keeps_the_order_in_which_it_was_asked() -> None:
    jobs = create_jobs("ann", [JobRequest("SLEEP", SLEEP, Options(order_key="k")) for _ in range(10)])

    assert in_queue() == [job.id for job in jobs if isinstance(job, Job)]


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQS takes nothing."""
    monkeypatch.setattr(queue, "_send_batch", lambda _, batch: batch)


@pytest.mark.usefixtures("deaf")
def test_a_job_that_cannot_be_sent_in_its_turn_is_not_there() -> None:
    """The sweeper would send it after younger ones."""
    with pytest.raises(UnavailableError, match="in its turn"):
        create_ordered_job()
    ordinary, in_order = create_jobs(
        "ann", [JobRequest("SLEEP", SLEEP), JobRequest("SLEEP", SLEEP, Options(order_key="k"))]
    )

    assert isinstance(ordinary, Job)
    assert isinstance(in_order, UnavailableError)
    assert [item["id"]["S"] for item in aws.client("dynamodb").scan(TableName="jobs")["Items"]] == [ordinary.id]


def test_one_that_was_sent_after_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a send whose answer is lost, and a worker that is quick
    def lose_answer(_: Any, batch: Any) -> Any:
        claim.claim(batch[0].message.job_id, "w1")
        return batch

    monkeypatch.setattr(queue, "_send_batch", lose_answer)

    job = create_ordered_job()

    assert get_job(job.id, owner="ann").status is JobStatus.RUNNING


def test_a_repeat_under_a_key_sends_what_the_first_request_could_not(entries_sent: list[dict[str, Any]]) -> None:
    """It may have died between the table and the queue; SQS drops what it has already."""
    first = create_job("ann", "SLEEP", SLEEP, Options(order_key="k"), key=KEY)
    again = create_job("ann", "SLEEP", SLEEP, Options(order_key="k"), key=KEY)

    assert again.id == first.id
    assert len(entries_sent) == 2
    assert entries_sent[0]["MessageDeduplicationId"] == entries_sent[1]["MessageDeduplicationId"]
    assert in_queue() == [first.id]


def test_a_dead_letter_of_a_waiting_one_goes_back_to_the_ordered_queue() -> None:
    job = create_ordered_job()
    JobModel.change(job.id, [JobModel.run_after.set(clock.now_ms() + 500), JobModel.version.add(1)],
                    JobModel.id.exists())  # fmt: skip

    assert judge(json.dumps({"job_id": job.id, "ttl_ms": 1})) is LetterVerdict.SENT_AFRESH

    assert in_queue() == [job.id, job.id]
