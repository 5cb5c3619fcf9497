"""Messages of recurring tasks' runs: to send, hide or delete one, every caller uses the tasks queue."""

import json

import pytest

from leaseway import aws, clock
from leaseway.jobs import create_job, queue
from leaseway.jobs.job import Job
from leaseway.jobs.queue_names import NORMAL, TASKS, Queue
from leaseway.jobs.table import JobModel
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.jobs.upkeep.sweep import sweep

pytestmark = pytest.mark.usefixtures("cloud")


def run_of_a_task() -> Job:
    """A job as a task makes it, its message still to be sent."""
    job = create_job("ann", "SLEEP", {"duration_ms": 1})
    lose_messages()
    item = JobModel.change(job.id, [JobModel.task_id.set("t" * 32)], JobModel.id.exists())
    assert item["task_id"] == {"S": "t" * 32}
    return job


def lose_messages() -> None:
    sqs, url = aws.client("sqs"), NORMAL.url
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def waiting(of: Queue) -> list[str]:
    received = aws.client("sqs").receive_message(QueueUrl=of.url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(message["Body"])["job_id"] for message in received.get("Messages", [])]


def test_the_sweeper_sends_a_run_again_to_the_tasks_queue() -> None:
    # Given a run whose message was lost, and a plain job whose message was lost
    run, plain = run_of_a_task(), create_job("ann", "SLEEP", {"duration_ms": 1})
    lose_messages()
    # When the sweeper looks at them
    later = clock.now_ms() / 1000 + 121
    with clock.fixed(lambda: later):
        report = sweep()
    # Then each has a message in its own queue
    assert report.resent == 2
    assert (waiting(TASKS), waiting(NORMAL)) == ([run.id], [plain.id])


def test_a_dead_letter_of_a_waiting_run_is_sent_afresh_to_the_tasks_queue() -> None:
    run = run_of_a_task()
    JobModel.change(run.id, [JobModel.run_after.set(clock.now_ms() + 500)], JobModel.id.exists())

    verdict = judge(json.dumps({"job_id": run.id, "ttl_ms": run.ttl_ms}))

    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=TASKS.url, AttributeNames=["All"])["Attributes"]
    assert verdict is LetterVerdict.SENT_AFRESH
    assert int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesDelayed"]) == 1
    assert waiting(NORMAL) == []


def test_a_records_source_names_its_queue() -> None:
    assert Queue.from_arn("arn:aws:sqs:us-east-1:000000000000:tasks") == TASKS
    assert Queue.from_arn("arn:aws:sqs:us-east-1:000000000000:jobs") == NORMAL


def test_messages_of_both_queues_are_sent_ten_a_call() -> None:
    job = queue.JobMessage("a" * 32, 1_000)
    mixed = [queue.Outgoing(job, TASKS if number % 2 else NORMAL, "ann") for number in range(24)]

    assert queue.send(mixed) == 24
