"""Progress: what is written of what executors report, and that reporting nothing costs nothing."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from leaseway import aws
from leaseway.jobs import Job, JobStatus, Options, cancel_job, create_job, retry_job
from leaseway.jobs.lease import Lease, LeaseLostError
from leaseway.jobs.progress import WHOLE, Progress
from leaseway.jobs.run import finish
from leaseway.jobs.table import JobModel
from leaseway.settings import require_setting, settings
from support.call_meter import meter_calls
from support.job_steps import claim_job, read_job
from worker import progress as writing
from worker.app import handler

pytestmark = pytest.mark.usefixtures("worker_cloud")


@pytest.fixture
def worker_cloud(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTORS_PACKAGE", "support.odd_executors")
    settings.cache_clear()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Every progress that a worker wrote."""
    written: list[Progress] = []
    original = Lease.report

    def report_and_note(lease: Lease, reached: Progress) -> None:
        original(lease, reached)
        written.append(reached)

    monkeypatch.setattr(Lease, "report", report_and_note)
    return written


def teller(**payload: Any) -> Job:
    return create_job("ann", "TELLER", payload, Options(max_attempts=1))


def work() -> None:
    messages = aws.client("sqs").receive_message(QueueUrl=require_setting("jobs_queue_url"), MaxNumberOfMessages=10)[
        "Messages"
    ]
    records = [
        {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]} for one in messages
    ]
    handler({"Records": records}, SimpleNamespace(log_stream_name="w", get_remaining_time_in_millis=lambda: 900_000))


def test_the_latest_is_written_no_more_often_than_the_interval(
    monkeypatch: pytest.MonkeyPatch, reports: list[Progress]
) -> None:
    # Given an executor that reports ninety times in about a second, and an interval of 0.3 s
    monkeypatch.setattr(writing, "EVERY_SECONDS", 0.3)
    job = teller(parts=90, each_ms=10)
    # When it runs
    began = time.monotonic()
    work()
    # Then what is written are a few steps of the way, each the latest of its time, and in the end the whole
    assert 1 <= len(reports) <= (time.monotonic() - began) / 0.3
    assert reports == sorted(set(reports))
    assert (read_job(job).progress, read_job(job).progress_note) == (WHOLE, "part 90")


def test_a_job_that_is_done_within_the_interval_pays_nothing_for_its_reports(reports: list[Progress]) -> None:
    job = teller(parts=50)
    work()
    assert reports == []
    assert (read_job(job).status, read_job(job).progress) == (JobStatus.COMPLETED, WHOLE)


def test_a_job_that_reports_nothing_has_nothing_written_and_nothing_in_the_item() -> None:
    job = create_job("ann", "QUICK", {})
    work()
    assert {"progress", "progress_note"}.isdisjoint(JobModel.read(job.id) or {})


def test_a_worker_learns_from_its_progress_that_the_job_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, reports: list[Progress]
) -> None:
    monkeypatch.setattr(writing, "EVERY_SECONDS", 0.1)
    job = teller(parts=1_000, each_ms=20)
    original = Lease.report

    def cancel_and_report(mine: Lease, reached: Progress) -> None:
        cancel_job(mine.job.id, owner=None, actor="root")
        original(mine, reached)

    monkeypatch.setattr(Lease, "report", cancel_and_report)
    ended: list[int] = []
    monkeypatch.setattr(finish, "complete", _remember_parts(ended))
    work()
    assert ended
    assert ended[0] < 1_000
    assert read_job(job).status is JobStatus.CANCELLED


def _remember_parts(parts: list[int]) -> Callable[..., JobStatus]:
    original = finish.complete

    def complete(lease: Lease, result: dict[str, Any], latest: Progress | None = None, **more: Any) -> JobStatus:
        parts.append(result["told"])
        return original(lease, result, latest, **more)

    return complete


def test_a_write_that_fails_is_tried_again_and_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "EVERY_SECONDS", 0.05)
    tries: list[Progress] = []

    def fail(_: Lease, reached: Progress) -> None:
        tries.append(reached)
        raise OSError

    monkeypatch.setattr(Lease, "report", fail)
    job = teller(parts=2, each_ms=250)
    work()
    assert len(tries) >= 2
    assert read_job(job).status is JobStatus.COMPLETED


def test_a_failed_job_shows_how_far_it_came_and_a_retry_begins_at_zero(
    monkeypatch: pytest.MonkeyPatch, reports: list[Progress]
) -> None:
    monkeypatch.setattr(writing, "EVERY_SECONDS", 0.05)
    job = teller(parts=4, each_ms=100, error="boom")
    work()
    assert reports
    assert (read_job(job).status, read_job(job).progress) == (JobStatus.FAILED, reports[-1].thousandths)
    retry_job(job.id, owner=None)
    assert (read_job(job).progress, read_job(job).progress_note) == (None, None)


def test_progress_is_one_unit_and_only_the_claims_own() -> None:
    mine = claim_job(teller(parts=1))
    with meter_calls() as meter:
        mine.report(Progress.from_fraction(0.4, "thumbnails"))
    assert (meter.count(), meter.write_units(), meter.read_units()) == (1, 1, 0)
    assert (read_job(mine.job).progress, read_job(mine.job).progress_note, read_job(mine.job).version) == (
        400,
        "thumbnails",
        mine.job.version,
    )
    mine.report(Progress.from_fraction(0.5))
    assert (read_job(mine.job).progress, read_job(mine.job).progress_note) == (500, None)
    cancel_job(mine.job.id, owner=None, actor="root")
    with pytest.raises(LeaseLostError):
        mine.report(Progress.from_fraction(1))


@pytest.mark.parametrize(
    ("fraction", "note", "expected"),
    [
        (0.4, "thumbnails", Progress(400, "thumbnails")),
        (-1, None, Progress(0)),
        (7, "", Progress(1_000)),
        (float("inf"), "n" * 500, Progress(1_000, "n" * 200)),
        (1, None, Progress(1_000)),
    ],
)
def test_progress_is_stored_in_thousandths_and_within_bounds(
    fraction: float, note: str | None, expected: tuple[int, str | None]
) -> None:
    assert Progress.from_fraction(fraction, note) == expected


def test_what_is_no_number_is_no_progress() -> None:
    with pytest.raises(ValueError, match="number"):
        Progress.from_fraction(float("nan"))
