"""How a worker records outcomes while the table refuses, the result is odd, or a claim fails."""

import logging
import socket
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from leaseway import aws, clock
from leaseway.dynamodb.table import Item
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, Options, content, create_job, queue
from leaseway.jobs.lease import Lease
from leaseway.jobs.queue import Hiding
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run.claim import Claimed, Outcome
from leaseway.jobs.run.claim import claim as claim_job
from leaseway.jobs.table import JobModel
from leaseway.settings import require_setting, settings
from support.job_steps import read_job
from worker import runner
from worker.app import handler
from worker.hiding import seconds_while_claimed

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
FAILED = ClientError(
    {"Error": {"Code": "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "UpdateItem"
)
DENIED = ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")


@pytest.fixture(autouse=True)
def worker_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.odd_executors")
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    settings.cache_clear()


def run_batch() -> dict[str, Any]:
    answer = aws.client("sqs").receive_message(QueueUrl=require_setting("jobs_queue_url"), MaxNumberOfMessages=10)
    records = [
        {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
        for one in answer["Messages"]
    ]
    context = SimpleNamespace(log_stream_name="stream-1", get_remaining_time_in_millis=lambda: 900_000)
    return handler({"Records": records}, context)


def end_of(job: Job) -> tuple[JobStatus, int, int, str | None]:
    ended = read_job(job)
    return ended.status, ended.attempts, ended.crashes, ended.error_message


@pytest.mark.parametrize(
    "failure",
    [
        THROTTLED,
        FAILED,
        DENIED,
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


@pytest.mark.parametrize(
    "kind", ["object", "surrogate", "recursion", "complex", "function", "nan", "infinity", "list", "none"]
)
def test_a_result_without_a_json_form_is_a_failed_attempt_with_its_reason(kind: str) -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": kind}, Options(max_attempts=1))

    assert run_batch() == {"batchItemFailures": []}

    status, attempts, crashes, message = end_of(job)
    assert (status, attempts, crashes) == (JobStatus.FAILED, 1, 0)
    assert str(message).startswith("the result is not JSON: ")


def test_a_result_that_is_too_large_is_a_failed_attempt_with_its_reason() -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": "enormous"}, Options(max_attempts=1))

    assert run_batch() == {"batchItemFailures": []}

    status, attempts, crashes, message = end_of(job)
    assert (status, attempts, crashes) == (JobStatus.FAILED, 1, 0)
    assert str(message) == "the result is too large: 3000012 bytes as JSON, the limit is 2097152"


@pytest.mark.parametrize(("kind", "value"), [("huge", 2**200), ("null", None)])
def test_a_result_with_a_json_form_is_read_as_it_was_returned(kind: str, value: object) -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": kind}, Options(max_attempts=1))

    assert run_batch() == {"batchItemFailures": []}

    assert read_job(job).result == {"value": value}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("exit", "SystemExit: enough"),
        ("cancelled", "CancelledError: "),
        ("unprintable", "UnprintableError"),
        ("odd text", "OSError: no file \\udc80.txt"),
    ],
)
def test_an_executor_that_ends_oddly_is_a_failed_attempt_and_no_crash(
    kind: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="leaseway")  # xdist cannot carry half a surrogate pair in a report
    job = create_job("ann", "ODD_RESULT", {"kind": kind}, Options(max_attempts=1))

    assert run_batch() == {"batchItemFailures": []}

    assert end_of(job) == (JobStatus.FAILED, 1, 0, message)
    assert [attempt.error for attempt in read_job(job).history] == [message]


def test_a_note_that_is_no_text_keeps_no_result_from_being_stored() -> None:
    job = create_job("ann", "ODD_RESULT", {"kind": "odd note"})

    assert run_batch() == {"batchItemFailures": []}

    assert (read_job(job).status, read_job(job).progress_note) == (JobStatus.COMPLETED, "file \\udc80.txt")


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

    # Then both messages, which were hidden for a lease before, stay and come back within seconds
    assert len(answer["batchItemFailures"]) == 2
    while_claimed, afterwards = hidden[:2], hidden[2:]
    assert while_claimed == [seconds_while_claimed()] * 2
    assert len(afterwards) == 2
    assert all(5 <= seconds <= 15 for seconds in afterwards)


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
def test_a_heartbeat_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two jobs, and a heartbeat of the first that ends only after two of the second
    hung, other = create_job("ann", "QUICK", {"wait_ms": 2_500}), create_job("ann", "QUICK", {"wait_ms": 2_500})
    extend, beats, were_heard = Lease.extend, threading.Semaphore(0), []

    def extend_or_hang(lease: Lease, **options: bool) -> Lease:
        if lease.job.id == other.id:
            beats.release()
        elif not were_heard:
            were_heard.append([beats.acquire(timeout=10) for _ in range(2)])
        return extend(lease, **options)

    monkeypatch.setattr(Lease, "extend", extend_or_hang)

    # When they run, then the second's heartbeats went on, and both completed
    assert run_batch() == {"batchItemFailures": []}
    assert were_heard == [[True, True]]
    assert {read_job(hung).status, read_job(other).status} == {JobStatus.COMPLETED}


@pytest.mark.usefixtures("short_lease")
def test_neither_a_slow_claim_nor_a_slow_queue_holds_up_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a running job, a claim that ends only after its heartbeat, and a queue that answers only after the next
    running, slow = create_job("ann", "QUICK", {"wait_ms": 2_500}), create_job("ann", "QUICK", {})
    extend, hide = Lease.extend, queue.hide
    beats, were_heard = threading.Semaphore(0), []

    def claim_slowly(job_id: str, worker: str, **options: str) -> Outcome:
        if job_id == slow.id:
            were_heard.append(beats.acquire(timeout=10))
        return claim_job(job_id, worker, message_id=options["message_id"])

    def hide_slowly(hidings: Sequence[Hiding], source: Queue) -> None:
        if len(were_heard) == 1:
            were_heard.append(beats.acquire(timeout=10))
        hide(hidings, source)

    def extend_and_note(lease: Lease, **options: bool) -> Lease:
        beats.release()
        return extend(lease, **options)

    monkeypatch.setattr(runner, "claim_job", claim_slowly)
    monkeypatch.setattr(queue, "hide", hide_slowly)
    monkeypatch.setattr(Lease, "extend", extend_and_note)

    # When both run, then the heartbeats came while the claim and the queue were under way
    assert run_batch() == {"batchItemFailures": []}
    assert were_heard == [True, True]
    assert {read_job(running).status, read_job(slow).status} == {JobStatus.COMPLETED}


@pytest.mark.usefixtures("short_lease")
def test_a_heartbeat_gives_up_early_and_is_not_repeated_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a table that takes connections and never answers
    job = create_job("ann", "QUICK", {})
    claimed = claim_job(job.id, "worker")
    assert isinstance(claimed, Claimed)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{silent.getsockname()[1]}")
        aws.forget()

        # When a heartbeat is sent, then it fails after one call
        with pytest.raises(ReadTimeoutError):
            claimed.lease.extend(is_repeated=True)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
