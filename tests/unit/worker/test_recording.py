"""How a worker records outcomes while the table refuses, the result is odd, or a claim fails."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from leaseway import aws, clock
from leaseway.dynamodb.table import Item
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, Options, content, create_job
from leaseway.jobs.lease import Lease
from leaseway.jobs.run.claim import Outcome
from leaseway.jobs.table import JobModel
from leaseway.settings import needed, settings
from support.job_steps import read
from worker import runner
from worker.app import handler

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
FAILED = ClientError(
    {"Error": {"Code": "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "UpdateItem"
)


@pytest.fixture(autouse=True)
def worker_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "unit.worker.odd_executors")
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    settings.cache_clear()


def run_batch() -> dict[str, Any]:
    answer = aws.client("sqs").receive_message(QueueUrl=needed("jobs_queue_url"), MaxNumberOfMessages=10)
    records = [
        {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
        for one in answer["Messages"]
    ]
    context = SimpleNamespace(log_stream_name="stream-1", get_remaining_time_in_millis=lambda: 900_000)
    return handler({"Records": records}, context)


def end_of(job: Job) -> tuple[JobStatus, int, int, str | None]:
    ended = read(job)
    return ended.status, ended.attempts, ended.crashes, ended.error_message


@pytest.mark.parametrize(
    "failure",
    [
        THROTTLED,
        FAILED,
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        UnavailableError("the bucket did not take it"),
    ],
)
def test_an_outcome_that_cannot_be_written_at_once_is_written_later(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    # Given a job whose result cannot be stored five times
    job = create_job("ann", "QUICK", {})
    store, failures = content.store, [failure] * 5

    def fail_first(*arguments: Any) -> content.Content:
        if failures:
            raise failures.pop()
        return store(*arguments)

    monkeypatch.setattr(content, "store", fail_first)

    # When it runs
    answer = run_batch()

    # Then its only attempt completed it
    assert answer == {"batchItemFailures": []}
    assert end_of(job) == (JobStatus.COMPLETED, 1, 0, None)
    assert failures == []


@pytest.mark.parametrize("kind", ["object", "surrogate", "recursion", "complex", "function"])
def test_a_result_without_a_json_form_is_a_failed_attempt_with_its_reason(kind: str) -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": kind}, Options(max_attempts=1))

    assert run_batch() == {"batchItemFailures": []}

    status, attempts, crashes, message = end_of(job)
    assert (status, attempts, crashes) == (JobStatus.FAILED, 1, 0)
    assert str(message).startswith("the result is not JSON: ")


def test_a_permanent_failure_uses_no_other_attempt() -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": "permanent"}, Options(max_attempts=5))

    assert run_batch() == {"batchItemFailures": []}

    assert end_of(job) == (JobStatus.FAILED, 1, 0, "gone for good")


def test_a_claim_that_fails_hides_its_message_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two jobs, and a table that is throttled while they are claimed
    for _ in range(2):
        create_job("ann", "QUICK", {})
    hidden: list[int] = []
    sqs = aws.client("sqs")
    change = sqs.change_message_visibility_batch
    monkeypatch.setattr(
        sqs,
        "change_message_visibility_batch",
        lambda **request: (
            hidden.extend(entry["VisibilityTimeout"] for entry in request["Entries"]) or change(**request)
        ),
    )

    def refuse(*_: Any) -> None:
        raise THROTTLED

    monkeypatch.setattr(JobModel, "change", refuse)

    # When a worker receives them
    answer = run_batch()

    # Then both messages stay, and come back within seconds
    assert len(answer["batchItemFailures"]) == 2
    assert len(hidden) == 2
    assert all(5 <= seconds <= 15 for seconds in hidden)


@pytest.mark.parametrize("failure", [THROTTLED, FAILED, ReadTimeoutError(endpoint_url="x")])
def test_a_result_that_the_table_does_not_take_at_once_is_written_later(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    # Given a job, and a table that takes its claim and then fails three times
    job = create_job("ann", "QUICK", {})
    change, failures = JobModel.change, [None, failure, failure, failure]

    def fail_after_the_claim(*arguments: Any) -> Item:
        if failures and (next_failure := failures.pop(0)) is not None:
            raise next_failure
        return change(*arguments)

    monkeypatch.setattr(JobModel, "change", fail_after_the_claim)

    # When it runs, then its only attempt completed it
    assert run_batch() == {"batchItemFailures": []}
    assert end_of(job) == (JobStatus.COMPLETED, 1, 0, None)
    assert failures == []


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "3")
    settings.cache_clear()


@pytest.mark.usefixtures("short_lease")
def test_heartbeats_go_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given three jobs that outlive a heartbeat, each of whose heartbeats waits until all three are under way
    for _ in range(3):
        create_job("ann", "QUICK", {"wait_ms": 1_500})
    together, extend, met = threading.Barrier(3, timeout=10), Lease.extend, []

    def extend_together(lease: Lease) -> Lease:
        together.wait()  # raises unless the others come too
        met.append(lease.job.id)
        return extend(lease)

    monkeypatch.setattr(Lease, "extend", extend_together)

    # When they run, then every heartbeat has met the others
    assert run_batch() == {"batchItemFailures": []}
    assert len(set(met)) == 3


@pytest.mark.usefixtures("short_lease")
def test_a_slow_claim_keeps_no_heartbeat_from_a_running_job(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a running job, and a claim that ends only after that job's heartbeat
    running, slow = create_job("ann", "QUICK", {"wait_ms": 1_500}), create_job("ann", "QUICK", {})
    claim_job, extend = runner.claim_job, Lease.extend
    heard, was_heard = threading.Event(), []

    def claim_slowly(job_id: str, worker: str) -> Outcome:
        if job_id == slow.id:
            was_heard.append(heard.wait(timeout=10))
        return claim_job(job_id, worker)

    def extend_and_note(lease: Lease) -> Lease:
        heard.set()
        return extend(lease)

    monkeypatch.setattr(runner, "claim_job", claim_slowly)
    monkeypatch.setattr(Lease, "extend", extend_and_note)

    # When both run, then the heartbeat came while the claim was under way
    assert run_batch() == {"batchItemFailures": []}
    assert was_heard == [True]
    assert {read(running).status, read(slow).status} == {JobStatus.COMPLETED}
