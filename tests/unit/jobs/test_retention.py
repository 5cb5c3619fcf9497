"""Retention: finished jobs expire, and what they left goes with them, against DynamoDB and S3 in memory."""

import base64
import io
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import worker.app
from leaseway import aws, clock, objects
from leaseway.counters import count
from leaseway.errors import InvalidInputError
from leaseway.idempotency import IdempotencyKey
from leaseway.jobs import Job, JobNotFoundError, JobStatus, Options, cancel_job, create_job, retry_job
from leaseway.jobs.find.totals import count_jobs
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import created_key
from leaseway.jobs.upkeep.retention import Cleared, NotClearedError, clear
from leaseway.settings import require_setting
from leaseway.tally.changes import read_changes
from support.account_stream import read_stream_records
from support.call_meter import meter_calls
from support.expired_keys import expire_keys
from support.fake_clock import FakeClock, set_clock
from support.job_steps import claim_job, read_job
from support.job_steps import create_sleep_job as job
from support.seed_jobs import make_job_item, put_jobs

pytestmark = pytest.mark.usefixtures("cloud")

DAY = 86_400
NOW = 1_800_000_000
KEY = IdempotencyKey("ann", "POST /api/v1/jobs", "k")
LARGE = {"text": "x" * 5_000}


@pytest.fixture
def fake_clock(cloud: None) -> Iterator[FakeClock]:
    """S3 dates objects by the real clock, which this one must be ahead of."""
    with set_clock(float(NOW)) as fake:
        yield fake


def list_keys() -> list[str]:
    """The keys in the bucket, below the owner's prefix."""
    objects = aws.client("s3").list_objects_v2(Bucket=require_setting("bucket")).get("Contents", [])
    return sorted(one["Key"].removeprefix("owners/") for one in objects)


def remove(gone: Job) -> None:
    """What DynamoDB does to an expired item."""
    aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": gone.id}})


def removals() -> list[dict[str, Any]]:
    """What passes the mapping's filter."""
    return [record for record in read_stream_records(table="jobs") if record["eventName"] == "REMOVE"]


@pytest.mark.parametrize(
    "end",
    [
        lambda mine: finish.complete(mine, {}),
        lambda mine: finish.fail(mine, "boom"),
        lambda mine: cancel_job(mine.job.id, owner=None, actor="root"),
    ],
    ids=["completed", "failed", "cancelled"],
)
def test_every_end_begins_the_time_that_a_job_is_kept(fake_clock: FakeClock, end: Callable[..., Any]) -> None:
    mine = claim_job(job(max_attempts=1))
    assert mine.job.expires_at is None

    end(mine)

    assert read_job(mine.job).expires_at == NOW + 90 * DAY
    fake_clock.seconds += 90 * DAY - 1
    read_job(mine.job)
    fake_clock.seconds += 1
    with pytest.raises(JobNotFoundError):
        read_job(mine.job)


def test_a_job_whose_time_ran_out_or_that_was_given_up_expires_too(fake_clock: FakeClock) -> None:
    late, lost = claim_job(job(ttl_ms=1_000)), job()
    fake_clock.seconds += 3_600
    assert finish.expire(late)
    assert finish.give_up(lost, "nobody took it")
    assert {read_job(one).expires_at for one in (late.job, lost)} == {NOW + 3_600 + 90 * DAY}


def test_a_job_may_name_its_own_time_in_days_and_never_less_than_one(fake_clock: FakeClock) -> None:
    mine = claim_job(job(retention_days=1))
    finish.complete(mine, {})
    assert read_job(mine.job).expires_at == NOW + DAY
    for days in (0, -1, 460):
        with pytest.raises(InvalidInputError) as refusal:
            job(retention_days=days)
        assert refusal.value.field == "retention_days"


def test_a_job_that_waits_long_is_kept_no_longer_than_the_bucket_keeps_its_payload() -> None:
    job(retention_days=458)
    job(retention_days=93, delay_seconds=366 * DAY)
    with pytest.raises(InvalidInputError, match="from 1 to 93"):
        job(retention_days=94, delay_seconds=366 * DAY)


def test_a_job_that_is_tried_again_no_longer_expires(fake_clock: FakeClock) -> None:
    mine = claim_job(job(max_attempts=1, retention_days=2))
    finish.fail(mine, "boom")

    again = retry_job(mine.job.id, owner=None)

    assert again.expires_at is None
    fake_clock.seconds += 3 * DAY
    finish.complete(claim_job(again), {})
    assert read_job(mine.job).expires_at == NOW + 5 * DAY


def test_an_error_with_attempts_left_begins_nothing() -> None:
    mine = claim_job(job())
    assert finish.fail(mine, "boom") is JobStatus.CREATED
    assert read_job(mine.job).expires_at is None


def test_an_expired_job_gives_its_key_free(fake_clock: FakeClock) -> None:
    mine = claim_job(job(key=KEY))
    finish.complete(mine, {})
    assert job(key=KEY).created_at == mine.job.created_at
    fake_clock.seconds += 90 * DAY
    assert job(key=KEY).created_at == clock.now_ms()


def picture() -> dict[str, Any]:
    drawn = io.BytesIO()
    Image.effect_noise((100, 100), 100).save(drawn, "PNG")
    return {"source": {"base64": base64.b64encode(drawn.getvalue()).decode()}, "width": 8, "height": 8}


def run_by_a_worker() -> None:
    context = SimpleNamespace(log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000)
    messages = aws.client("sqs").receive_message(QueueUrl=require_setting("jobs_queue_url"), MaxNumberOfMessages=10)[
        "Messages"
    ]
    names = {"messageId": "MessageId", "receiptHandle": "ReceiptHandle", "body": "Body"}
    worker.app.handler({"Records": [{ours: m[theirs] for ours, theirs in names.items()} for m in messages]}, context)


def test_payload_result_and_picture_go_with_their_job_and_nothing_else_does() -> None:
    # Given a picture that a worker made of a large payload, a neighbour's, and an upload
    mine, other = create_job("ann", "IMAGE_RESIZE", picture()), create_job("ann", "IMAGE_RESIZE", picture())
    run_by_a_worker()
    upload = objects.owner_prefix("ann") + "uploads/1"
    objects.put_bytes(upload, b"x", "image/png")
    assert {name for name in list_keys() if mine.id in name} == {
        f"ann/jobs/{mine.id}/{name}" for name in ("payload.json", "image-1.png")
    }
    # When the job's item is removed
    remove(mine)
    report = clear(removals())
    # Then its objects are gone, and only those
    assert report == Cleared(jobs=1, objects=2)
    assert list_keys() == sorted([f"ann/jobs/{other.id}/{name}" for name in ("payload.json", "image-1.png")]
                              + ["ann/uploads/1"])  # fmt: skip
    # And a repeated delivery finds nothing
    assert clear(removals()) == Cleared(jobs=1, objects=0)


def test_a_small_picture_of_a_small_payload_is_found_too() -> None:
    small = picture() | {"source": {"base64": tiny()}}
    mine = create_job("ann", "IMAGE_RESIZE", small)
    run_by_a_worker()
    assert list_keys() == [f"ann/jobs/{mine.id}/image-1.png"]
    remove(mine)
    clear(removals())
    assert list_keys() == []


def tiny() -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (8, 8)).save(drawn, "PNG")
    return base64.b64encode(drawn.getvalue()).decode()


def test_a_plain_job_costs_no_call() -> None:
    mine = claim_job(job())
    finish.complete(mine, {"n": 1})
    never_began = job()
    cancel_job(never_began.id, owner=None, actor="root")
    for one in (mine.job, never_began):
        remove(one)
    gone = removals()
    with meter_calls() as meter:
        assert clear(gone) == Cleared(jobs=2, objects=0)
    assert meter.calls == []


def test_what_an_attempt_left_that_lost_its_lease_is_found(fake_clock: FakeClock) -> None:
    # Given a worker that stored a picture and a large result, and died before it could say so
    first = claim_job(job(ttl_ms=600_000))
    fake_clock.seconds += 60
    outcome = claim.claim(first.job.id, "w2")
    assert isinstance(outcome, claim.Abandoned)
    second = claim.take_over(outcome.lease, "w2")
    assert isinstance(second, claim.Claimed)
    objects.put_of_claim("ann", first.job.id, 1, "image.png", b"x", "image/png")
    with pytest.raises(LeaseLostError):
        finish.complete(first, LARGE)
    finish.complete(second.lease, {})
    assert len(list_keys()) == 2
    # When the job is removed, then they go
    remove(first.job)
    clear(removals())
    assert list_keys() == []


def test_a_later_job_of_the_same_key_keeps_its_payload() -> None:
    # Given a job of a key that was finished long ago and removed, and its successor of the same id
    mine = create_job("ann", "IMAGE_RESIZE", picture(), key=KEY)
    before = clock.now_ms() // 1000 - 91 * DAY
    long_ago = {":at": {"N": str(before * 1000)}}
    aws.client("dynamodb").update_item(TableName="jobs", Key={"id": {"S": mine.id}},
                                       UpdateExpression="SET finished_at = :at",
                                       ExpressionAttributeValues=long_ago)  # fmt: skip
    remove(mine)
    expire_keys()
    again = create_job("ann", "IMAGE_RESIZE", picture(), key=KEY)
    assert again.id == mine.id
    # When the record of the removal comes late, then what was written since stays
    keys = list_keys()
    assert clear(removals()).objects == 0
    assert list_keys() == keys


@pytest.mark.parametrize("tag_names", [(), ("blue", "red")])
@pytest.mark.parametrize(
    "end",
    [
        lambda mine: finish.complete(mine, LARGE),
        lambda mine: finish.fail(mine, "boom"),
        lambda mine: cancel_job(mine.job.id, owner=None, actor="root"),
    ],
    ids=["large-result", "failed", "cancelled"],
)
def test_what_an_expired_job_left_goes_if_its_key_is_used_again(
    fake_clock: FakeClock, end: Callable[..., Any], tag_names: tuple[str, ...]
) -> None:
    # Given a job of a key that has expired, and that DynamoDB has not removed yet
    options = Options(tags=tag_names, max_attempts=1)
    first = create_job("ann", "SLEEP", {"duration_ms": 1}, options, key=KEY)
    end(claim_job(first))
    fake_clock.seconds += 90 * DAY
    # When its key creates a job again
    again = create_job("ann", "SLEEP", {"duration_ms": 1}, options, key=KEY)
    # Then the stream has the removal of the first, and only the second's rows stay
    assert again.id == first.id
    assert again.created_at > first.created_at
    clear(removals())
    assert list_keys() == []
    rows = aws.client("dynamodb").scan(TableName="tags")["Items"]
    assert [row["created_key"]["S"] for row in rows] == [created_key(again.created_at, again.id)] * len(tag_names)
    assert read_job(again).status is JobStatus.CREATED


def test_what_the_bucket_keeps_makes_the_batch_come_again_and_holds_no_other_job_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given two jobs with objects, of which the bucket does not give the first's
    jobs = [create_job("ann", "IMAGE_RESIZE", picture()) for _ in range(2)]
    for one in jobs:
        remove(one)
    gone, client = removals(), _Stubborn(aws.client("s3"), keeps=jobs[0].id)
    monkeypatch.setattr(objects.aws, "client", lambda service, **_: client)
    # When the batch is cleared, then it raises, and the second is done
    with pytest.raises(NotClearedError, match=jobs[0].id):
        clear(gone)
    assert [name for name in list_keys() if jobs[1].id in name] == []
    # And when the bucket is well again, the repeated batch does the rest
    client.keeps = ""
    clear(gone)
    assert list_keys() == []


class _Stubborn:
    """A real client that cannot delete the objects of one job."""

    def __init__(self, client: Any, keeps: str) -> None:
        self._client, self.keeps = client, keeps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_objects(self, Bucket: str, Delete: Any) -> Any:  # noqa: N803
        keys = [one["Key"] for one in Delete["Objects"]]
        if self.keeps and self.keeps in keys[0]:
            return {"Errors": [{"Key": key, "Code": "InternalError"} for key in keys]}
        return self._client.delete_objects(Bucket=Bucket, Delete=Delete)


def test_more_objects_than_a_page_holds_all_go() -> None:
    mine = job()
    for number in range(1_003):
        objects.put_bytes(objects.job_key("ann", mine.id, f"{number}.bin"), b"x", "image/png")
    assert objects.remove_of_job("ann", mine.id, clock.now_ms() // 1000) == 1_003
    assert list_keys() == []


def test_what_is_no_job_or_not_removed_is_passed_over() -> None:
    job()
    stranger = {"eventName": "REMOVE", "dynamodb": {"OldImage": {"id": {"S": "x"}}}}
    assert clear([*read_stream_records(table="jobs"), stranger]) == Cleared()


def test_an_expired_job_is_counted_no_more() -> None:
    put_jobs([make_job_item(n, owner="ann") for n in range(3)])
    aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": make_job_item(1, owner="ann")["id"]})
    count(read_changes(read_stream_records(table="jobs")))
    assert (count_jobs("ann", "COMPLETED"), count_jobs()) == (2, 2)
