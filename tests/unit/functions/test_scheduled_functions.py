"""The thin handlers of the sweeper and the dead-letter function."""

import importlib
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from leaseway import clock
from leaseway.dynamodb.query import Query
from leaseway.jobs import JobStatus, create_job, get_job, queue
from leaseway.settings import settings
from support.sample_events import sample_event

pytestmark = pytest.mark.usefixtures("cloud")


def test_the_sweeper_answers_its_report() -> None:
    report = importlib.import_module("sweeper.app").handler(sample_event("sweeper"), None)
    counts = dict.fromkeys(
        ("looked", "resent", "cancelled", "moved", "set_aside", "failed", "unread_shards", "lag_ms"), 0
    )
    assert report == {**counts, "left": False}


def test_a_sweep_that_could_not_read_a_shard_reports_no_lag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its silence is what the alarm watches."""
    page = Query.page

    def fail_in_shard_3(query: Query, **options: Any) -> Any:
        if query.key == ("live_key", "3") and "limit" in options and query.range is not None:
            raise ConnectTimeoutError(endpoint_url="dynamodb")
        return page(query, **options)

    monkeypatch.setattr(Query, "page", fail_in_shard_3)
    report = importlib.import_module("sweeper.app").handler(sample_event("sweeper"), None)

    assert report["unread_shards"] == 1
    metric_line = capsys.readouterr().out
    assert "SweepFailed" in metric_line
    assert "SweepLag" not in metric_line


def test_a_sweep_whose_running_jobs_cannot_be_counted_reports_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The count is for the metrics alone; what the sweep did must not be reported as a failed invocation."""
    sweeper = importlib.import_module("sweeper.app")
    refusal = ClientError({"Error": {"Code": "ThrottlingException"}}, "Query")

    def fail() -> NoReturn:
        raise refusal

    monkeypatch.setattr(sweeper, "count_active_jobs", fail)
    report = sweeper.handler(sample_event("sweeper"), None)

    assert report["looked"] == 0
    output = capsys.readouterr().out
    assert "SweepLag" in output
    assert "JobsRunning" not in output


def test_a_dead_letter_that_cannot_be_judged_stays_and_the_others_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("dead_letter.app").handler
    job = create_job("ann", "SLEEP", {"duration_ms": 1})
    judged = sample_event("dead_letter", job_id=job.id)["Records"][0]
    real = queue.parse

    def parse(text: str) -> queue.JobMessage:
        if text == "unreadable":
            raise RuntimeError("the table does not answer")
        return real(text)

    monkeypatch.setattr(queue, "parse", parse)

    neglected = clock.now_ms() / 1000 + settings().dead_letter_seconds + 1
    with clock.fixed(lambda: neglected):
        answer = handler({"Records": [{"messageId": "a", "body": "unreadable"}, judged]}, None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "a"}]}
    assert get_job(job.id, owner=None).status is JobStatus.FAILED
