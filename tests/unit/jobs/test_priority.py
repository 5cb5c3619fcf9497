"""Priority, and whose a message is: what a job asks for decides its queue, once, for every message it ever has."""

from typing import Any

import pytest

from leaseway import aws
from leaseway.errors import InvalidInputError
from leaseway.jobs import JobType, Options, create_job, get_job
from leaseway.jobs.create import placement
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.options import JobRequest, Priority
from leaseway.jobs.queue_names import HIGH, LOW, NORMAL, TASKS, Queue
from leaseway.jobs.run import claim, finish
from leaseway.tasks import Definition, create_task, start_now
from support.api_gateway import call, post
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")

SLEEP = {"duration_ms": 1}


@pytest.fixture
def messages_sent() -> Any:
    """Every message sent, as (the end of its queue's address, its group)."""
    messages: list[tuple[str, str]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        queue = params["QueueUrl"].rpartition("/")[2]
        messages.extend((queue, entry["MessageGroupId"]) for entry in params["Entries"])

    events = aws.client("sqs").meta.events
    events.register("before-parameter-build.sqs.SendMessageBatch", note)
    yield messages
    events.unregister("before-parameter-build.sqs.SendMessageBatch", note)


def depth(queue: Queue) -> int:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesDelayed"])


@pytest.mark.parametrize(("priority", "queue"), [("high", HIGH), ("normal", NORMAL), ("low", LOW), (None, NORMAL)])
def test_a_priority_is_a_queue(priority: str | None, queue: Queue) -> None:
    option = {} if priority is None else {"priority": priority}

    answer = post("/api/v1/jobs", {"type": "SLEEP", "payload": SLEEP, **option})

    assert answer.json["queue"] == queue.name
    assert {each: depth(each) for each in (HIGH, NORMAL, LOW)} == {
        each: int(each == queue) for each in (HIGH, NORMAL, LOW)
    }


def test_a_retry_stays_in_its_priority() -> None:
    job = create_job("ann", "SLEEP", SLEEP, Options(priority=Priority.HIGH))
    outcome = claim.claim(job.id, "w1")
    assert isinstance(outcome, claim.Claimed)

    finish.fail(outcome.lease, "no luck")

    assert (depth(HIGH), depth(NORMAL)) == (2, 0)
    assert get_job(job.id, owner="ann").queue == "high"


def test_a_hundred_jobs_of_mixed_priority_take_sixteen_calls_at_most() -> None:
    # 34, 33 and 33 are the worst: four calls for each priority
    requests = [JobRequest("SLEEP", SLEEP, Options(priority=list(Priority)[number % 3])) for number in range(100)]

    with meter_calls() as meter:
        create_jobs("ann", requests)

    assert meter.count() == 16
    assert (depth(HIGH), depth(NORMAL), depth(LOW)) == (34, 33, 33)


def test_a_job_with_a_priority_costs_what_an_ordinary_one_costs() -> None:
    with meter_calls() as meter:
        job = create_job("ann", "SLEEP", SLEEP, Options(priority=Priority.LOW))
        outcome = claim.claim(job.id, "w1")
        assert isinstance(outcome, claim.Claimed)
        finish.complete(outcome.lease, {})

    assert (meter.write_units("jobs"), meter.read_units()) == (8, 0)


def test_every_message_of_a_standard_queue_says_whose_it_is(messages_sent: list[tuple[str, str]]) -> None:
    """SQS shares deliveries out among groups: one owner's flood keeps no other owner waiting."""
    create_job("ann", "SLEEP", SLEEP)
    create_jobs("ben", [JobRequest("SLEEP", SLEEP, Options(priority=Priority.LOW))])
    start_now(create_task("cleo", Definition(name="nightly", every="1h", type="SLEEP", payload=SLEEP)).id)

    assert messages_sent == [("jobs", "ann"), ("low", "ben"), ("tasks", "cleo")]


def test_a_priority_that_there_is_not_is_refused() -> None:
    answer = post("/api/v1/jobs", {"type": "SLEEP", "payload": SLEEP, "priority": "urgent"})

    assert (answer.status, answer.json["field"]) == (400, "priority")


def test_a_type_with_a_queue_of_its_own_has_no_priorities() -> None:
    few = JobType("FEW", JobRequest, lambda *_: {}, "Two at a time", limit=2)

    with pytest.raises(InvalidInputError, match="a queue of their own"):
        placement.choose_queue(few, Options(priority=Priority.HIGH))


def test_the_same_key_for_another_priority_is_another_request() -> None:
    body = {"type": "SLEEP", "payload": SLEEP, "priority": "high"}
    keyed = {"headers": {"Idempotency-Key": "k"}}
    first = post("/api/v1/jobs", body, **keyed)

    assert post("/api/v1/jobs", body, **keyed).json["id"] == first.json["id"]
    assert post("/api/v1/jobs", body | {"priority": "low"}, **keyed).status == 422
    assert call("GET", "/api/v1/jobs/{id}", path={"id": first.json["id"]}).json["queue"] == "high"


def test_a_run_of_a_task_shows_its_queue() -> None:
    run = start_now(create_task("ann", Definition(name="nightly", every="1h", type="SLEEP", payload=SLEEP)).id)

    assert Queue.of(run) == TASKS
    assert call("GET", "/api/v1/jobs/{id}", path={"id": run.id}).json["queue"] == "tasks"
