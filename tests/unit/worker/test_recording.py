"""How a worker records outcomes while the table refuses, the result is odd, or a claim fails."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from leaseway import aws, clock
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, Options, content, create_job
from leaseway.jobs.table import JobModel
from leaseway.settings import needed, settings
from support.job_steps import read
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
