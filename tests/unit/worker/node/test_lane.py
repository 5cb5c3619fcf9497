"""A node's lanes and slots, against SQS and DynamoDB in memory."""

import io
import json
import threading
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.jobs import JobStatus, Options, create_job, get_job, queue
from leaseway.jobs.queue_names import NORMAL, ORDERED, Queue
from leaseway.jobs.run import claim
from leaseway.settings import settings
from support.waiting import wait_until
from support.working_lane import RunningLane, run_lane
from worker.delivery import parse_deliveries
from worker.node.process import default_queues
from worker.node.reports import Reports
from worker.node.slots import Slots

pytestmark = pytest.mark.usefixtures("odd_cloud")


@pytest.fixture
def odd_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.odd_executors")
    settings.cache_clear()


def quick(**options: Any) -> str:
    return create_job("ann", "QUICK", options.pop("payload", {}), Options(**options)).id


def status(job_id: str) -> JobStatus:
    return get_job(job_id, owner=None).status


def count_messages(source: Queue = NORMAL) -> tuple[int, int]:
    """Messages that wait, and that are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=source.url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def test_jobs_run_as_slots_come_free_and_their_messages_go_as_they_end() -> None:
    jobs = [quick() for _ in range(15)]

    with run_lane(slots=2) as node:
        wait_until(lambda: len(node.ended) == 15, seconds=20, what="fifteen ended jobs")
        wait_until(lambda: count_messages() == (0, 0), seconds=5, what="an empty queue")

    assert {status(job_id) for job_id in jobs} == {JobStatus.COMPLETED}


def test_a_job_in_a_slot_does_not_keep_others_from_the_rest() -> None:
    long = quick(payload={"wait_ms": 60_000})
    with run_lane(slots=2) as node:
        wait_until(lambda: status(long) is JobStatus.RUNNING, seconds=10, what="the long job")
        short = [quick() for _ in range(3)]
        wait_until(lambda: len(node.ended) == 3, seconds=20, what="three ended jobs")
    assert {status(job_id) for job_id in short} == {JobStatus.COMPLETED}
    assert status(long) is JobStatus.CREATED, "given back"
    assert count_messages() == (1, 0), "and shown again"


def test_what_is_not_asked_for_is_not_received() -> None:
    """A message that no slot waits for keeps its receives for those that can run it."""
    for _ in range(5):
        quick(payload={"wait_ms": 60_000})
    with run_lane(slots=2):
        wait_until(lambda: count_messages()[1] == 2, seconds=10, what="two jobs")
        assert count_messages() == (3, 2)


def test_a_lane_that_waits_for_a_message_keeps_one_slot_only() -> None:
    with run_lane(slots=3, source=Queue("high")) as node:
        slots = node.slots.reserve(10)
        assert slots >= 2
        node.slots.release(slots)


def test_a_paused_lane_takes_nothing_until_it_goes_on() -> None:
    node = RunningLane()
    node.lane.pause()
    node.start()
    job_id = quick()
    threading.Event().wait(0.3)
    assert status(job_id) is JobStatus.CREATED
    node.lane.resume()
    wait_until(lambda: status(job_id) is JobStatus.COMPLETED, seconds=10, what="the job's end")
    node.stop()


def test_a_dead_workers_job_is_run_apart_and_keeps_its_slot() -> None:
    job_id = quick()
    assert isinstance(claim.claim(job_id, "dead worker"), claim.Claimed)
    later = clock.now_ms() / 1000 + settings().lease_seconds + 1
    with clock.fixed(lambda: later), run_lane(slots=1) as node:
        wait_until(lambda: node.isolated, seconds=10, what="a takeover")
        assert node.isolated[0].message.job_id == job_id
        assert get_job(job_id, owner=None).attempts == 1, "this process has not touched it"


def test_what_takes_over_alone_counts_the_crash_and_settles_the_message() -> None:
    job_id = quick()
    assert isinstance(claim.claim(job_id, "dead worker"), claim.Claimed)
    (message,) = queue.receive(NORMAL, wait_seconds=0, hidden_seconds=30)
    (delivery,) = parse_deliveries([message], NORMAL)
    later = clock.now_ms() / 1000 + settings().lease_seconds + 1
    node = RunningLane()
    with clock.fixed(lambda: later):
        node.lane.take_over(delivery)
        wait_until(lambda: not node.lane.is_busy, seconds=10, what="its end")
        node.lane.settle()
    job = get_job(job_id, owner=None)
    assert (job.status, job.crashes, job.worker) == (JobStatus.COMPLETED, 1, "node")
    assert count_messages() == (0, 0)


def test_a_message_that_is_no_jobs_is_left_for_the_dead_letter_queue() -> None:
    aws.client("sqs").send_message(QueueUrl=NORMAL.url, MessageBody="nonsense")
    good = quick()
    with run_lane():
        wait_until(lambda: status(good) is JobStatus.COMPLETED, seconds=10, what="the good one's end")
        wait_until(lambda: count_messages() == (0, 1), seconds=5, what="the bad one, hidden for a while")


def test_an_order_is_kept_by_taking_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []

    def receive(_: Queue, *, most: int, **__: int) -> list[queue.Received]:
        limits.append(most)
        return []

    monkeypatch.setattr(queue, "receive", receive)
    node = RunningLane(slots=5, source=ORDERED)
    node.lane._is_flowing = True
    node.start()
    wait_until(lambda: limits, seconds=5, what="a request")
    node.stop()
    assert set(limits) == {1}


def test_a_retry_of_a_job_that_keeps_an_order_keeps_its_message_and_its_place() -> None:
    first = quick(payload={"error": "no"}, order_key="k", max_attempts=2)
    second = quick(order_key="k")
    with run_lane(source=ORDERED) as node:
        wait_until(lambda: len(node.ended) == 3, seconds=30, what="two attempts and the next job")
        wait_until(lambda: count_messages(ORDERED) == (0, 0), seconds=5, what="an empty queue")
    assert [end.job_id for end in node.ended] == [first, first, second]
    assert (status(first), status(second)) == (JobStatus.FAILED, JobStatus.COMPLETED)


def test_slots_are_waited_for_and_closed() -> None:
    slots, got = Slots(2), []
    assert slots.reserve(10) == 2
    waiter = threading.Thread(target=lambda: got.append(slots.reserve(1)), daemon=True)
    waiter.start()
    wait_until(lambda: slots.has_waiters, seconds=5, what="a waiter")
    slots.release(1)
    waiter.join(5)
    assert got == [1]
    slots.close()
    assert slots.reserve(1) == 0


@pytest.mark.parametrize(
    ("enabled", "named"),
    [("true", {"MESSAGE"}), ("false", {"normal", "high", "low", "ordered", "tasks", "MESSAGE", "STORAGE_AUDIT"})],
)
def test_a_node_takes_what_no_function_does_and_can_run_it(
    monkeypatch: pytest.MonkeyPatch, enabled: str, named: set[str]
) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "worker.executors")
    monkeypatch.setenv("WORKER_ENABLED", enabled)
    settings.cache_clear()
    names = {each.name for each in default_queues()}
    assert named <= names
    assert "EXTERNAL" not in names, "its workers come over HTTP"
    assert enabled == "false" or names == named


def test_reports_are_lines_of_json_ended_by_crlf_and_only_if_a_monitor_listens() -> None:
    written, silent = io.StringIO(newline=""), io.StringIO()
    for reports in (Reports(enabled=True, stream=written), Reports(enabled=False, stream=silent)):
        reports.report_number(7)
        reports.report_generator_mode()
        reports.count_generated()
        reports.count_generated()
    lines = written.getvalue().split("\r\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [
        {"msg": "createdTaskId", "taskId": 7},
        {"msg": "switchedToGeneratorMode"},
        {"msg": "generated", "total": 1},
        {"msg": "generated", "total": 2},
    ]
    assert silent.getvalue() == ""
