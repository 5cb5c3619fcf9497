"""Large payloads and results: bounded when they are stored, and needed only by those who read them."""

from collections.abc import Callable

import pytest

from leaseway import aws, objects
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, cancel_job, content, create_job, get_job, get_result, retry_job
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.control.replay import replay
from leaseway.jobs.find.read import JobNotFoundError, read_job_item
from leaseway.jobs.run import external, finish
from leaseway.settings import require_setting, settings
from support.job_steps import claim_job

pytestmark = pytest.mark.usefixtures("cloud")

Loss = Callable[[Job], None]
LARGE = {"text": "x" * 5_000}


@pytest.fixture(params=["bucket does not answer", "object gone"])
def lose_contents(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Loss:
    def lose(job: Job) -> None:
        if request.param == "bucket does not answer":
            monkeypatch.setenv("BUCKET", "no-such-bucket")
            settings.cache_clear()
        else:
            assert objects.remove_of_job(job.owner, job.id, 2**40)

    return lose


def large_job() -> Job:
    return create_job("ann", "EXTERNAL", LARGE)


def complete_large_job() -> Job:
    lease = claim_job(large_job())
    finish.complete(lease, LARGE)
    return read_job_item(lease.job.id, owner=None)


def cancel(job: Job) -> Job:
    return cancel_job(job.id, owner="ann", actor="ann")


def test_a_job_is_cancelled_without_its_contents(lose_contents: Loss) -> None:
    job = large_job()
    lose_contents(job)
    assert cancel(job).status is JobStatus.CANCELLED
    assert cancel(job).status is JobStatus.CANCELLED


def test_a_job_is_retried_without_its_contents(lose_contents: Loss) -> None:
    job = large_job()
    cancel(job)
    lose_contents(job)
    assert retry_job(job.id, owner="ann").status is JobStatus.CREATED


def test_a_dead_letter_is_replayed_without_its_contents(lose_contents: Loss) -> None:
    job = large_job()
    assert finish.give_up(job, "no worker", dead_lettered=True)
    lose_contents(job)
    assert replay(job.id).status is JobStatus.CREATED


def test_a_job_is_removed_without_its_contents(lose_contents: Loss) -> None:
    job = complete_large_job()
    lose_contents(job)
    assert remove_job(job.id, owner="ann").status is JobStatus.COMPLETED
    with pytest.raises(JobNotFoundError):
        read_job_item(job.id, owner="ann")


def test_a_claim_without_its_payload_is_a_failed_attempt(lose_contents: Loss) -> None:
    job = large_job()
    lose_contents(job)
    with pytest.raises(UnavailableError):
        external.claim_known(job.id, "w1", owner="ann")
    after = read_job_item(job.id, owner="ann")
    assert (after.status, after.attempts, after.crashes) == (JobStatus.CREATED, 1, 0)
    assert str(after.error_message).startswith("its payload could not be read")


def test_a_job_whose_objects_are_gone_is_read_without_them() -> None:
    job = complete_large_job()
    objects.remove_of_job(job.owner, job.id, 2**40)
    assert (get_job(job.id, owner="ann").payload, get_job(job.id, owner="ann").result) == ({}, None)
    with pytest.raises(objects.ObjectNotFoundError):
        get_result(job.id, owner="ann")


def test_a_result_is_read_without_the_payload() -> None:
    job = complete_large_job()
    aws.client("s3").delete_object(Bucket=require_setting("bucket"), Key=str(job.payload_key))
    assert get_result(job.id, owner="ann")[1] == LARGE


def test_a_result_above_the_limit_of_uploads_is_read_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = complete_large_job()
    monkeypatch.setenv("UPLOAD_LIMIT", "100")
    settings.cache_clear()
    assert get_result(job.id, owner="ann")[1] == LARGE
    assert remove_job(job.id, owner="ann").id == job.id


@pytest.mark.parametrize("excess", [0, 1])
def test_a_content_is_stored_up_to_a_limit(excess: int) -> None:
    text = "x" * (content.LARGEST_BYTES - len('{"text":""}') + excess)
    lease = claim_job(large_job())
    if excess:
        with pytest.raises(content.ContentTooLargeError, match="is too large"):
            finish.complete(lease, {"text": text})
    else:
        assert finish.complete(lease, {"text": text}) is JobStatus.COMPLETED
        assert get_result(lease.job.id, owner=None)[1] == {"text": text}
