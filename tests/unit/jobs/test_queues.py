"""Queues: which one a job's messages belong to, and that everybody who handles one knows it from the job alone."""

import json

import pytest

from leaseway import aws, clock
from leaseway.errors import InvalidInputError
from leaseway.jobs import Job, Options, TtlTooLongError, create_job, get_job
from leaseway.jobs.queue_names import HIGH, LOW, NORMAL, ORDERED, TASKS, Queue, list_deployed
from leaseway.jobs.table import JobModel
from leaseway.jobs.types import LONGEST_EXTERNAL_TTL_MS
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import SettingsInvalidError
from leaseway.tasks import Definition, create_task, start_now
from support import tables
from support.as_function import clear_caches

FAR, FEW = Queue("FAR"), Queue("FEW")


@pytest.fixture
def types_with_queues(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment with two types that have queues of their own."""
    urls = {name: tables.create_queue(aws.client("sqs"), name.lower()) for name in ("FAR", "FEW")}
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.plugged_executors")
    monkeypatch.setenv("TYPE_QUEUE_URLS", ",".join(f"{name}={url}" for name, url in urls.items()))
    clear_caches()


def waiting(of: Queue) -> list[str]:
    """The jobs whose messages are in a queue; they are taken out of it."""
    sqs = aws.client("sqs")
    received = sqs.receive_message(QueueUrl=of.url, MaxNumberOfMessages=10).get("Messages", [])
    for message in received:
        sqs.delete_message(QueueUrl=of.url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"])["job_id"] for message in received]


@pytest.mark.usefixtures("types_with_queues")
@pytest.mark.parametrize("own", [FAR, FEW])
def test_a_type_with_a_queue_of_its_own_waits_there_for_any_sender(own: Queue) -> None:
    # Given a job of it
    job = create_job("ann", own.name, {})
    assert (waiting(own), waiting(NORMAL)) == ([job.id], [])
    # When its message is lost, and the sweeper sends another
    later = clock.now_ms() / 1000 + 121
    with clock.fixed(lambda: later):
        assert sweep().resent == 1
    # Then that one is there too, as is the one after a dead letter
    assert (waiting(own), waiting(NORMAL)) == ([job.id], [])
    JobModel.change(job.id, [JobModel.run_after.set(clock.now_ms() + 500)], JobModel.id.exists())
    assert judge(json.dumps({"job_id": job.id, "ttl_ms": 1})) is LetterVerdict.SENT_AFRESH
    assert get_job(job.id, owner="ann").queue == own.name


@pytest.mark.usefixtures("types_with_queues")
def test_a_tasks_run_of_such_a_type_waits_in_the_types_queue() -> None:
    task = create_task("ann", Definition(name="nightly", every="1h", type="FAR", payload={}))

    run = start_now(task.id)

    assert (waiting(FAR), waiting(TASKS)) == ([run.id], [])


@pytest.mark.usefixtures("types_with_queues")
def test_each_queue_is_found_by_its_address() -> None:
    assert set(list_deployed()) == {NORMAL, HIGH, LOW, ORDERED, TASKS, FAR, FEW}
    for queue in list_deployed():
        name = queue.url.rpartition("/")[2]
        assert Queue.from_arn(f"arn:aws:sqs:us-east-1:000000000000:{name}") == queue
    assert Queue.from_arn("") == NORMAL


@pytest.mark.usefixtures("types_with_queues")
def test_an_external_job_may_live_eleven_hours_and_one_on_lambda_not() -> None:
    assert create_job("ann", "FAR", {}, Options(ttl_ms=LONGEST_EXTERNAL_TTL_MS)).ttl_ms == 39_600_000
    for type_name, ttl_ms in (("FAR", LONGEST_EXTERNAL_TTL_MS + 1), ("FEW", 840_001)):
        with pytest.raises(TtlTooLongError):
            create_job("ann", type_name, {}, Options(ttl_ms=ttl_ms))


def test_a_type_whose_queue_is_missing_is_refused(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a deployment that knows the type but has no queue for it
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.plugged_executors")
    clear_caches()
    # Then a job of it would hang for ever
    with pytest.raises(InvalidInputError, match="no queue for it"):
        create_job("ann", "FAR", {})
    with pytest.raises(SettingsInvalidError):
        assert FAR.url


def test_an_ordinary_job_stores_no_queue(cloud: None) -> None:
    job: Job = create_job("ann", "SLEEP", {"duration_ms": 1})

    item = JobModel.read(job.id)
    assert item is not None
    assert "queue" not in item
