"""Tags: the rows that jobs are found by, written before a job and removed after it."""

from typing import Any

import msgspec
import pytest

from leaseway import aws, batches
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs import Job, JobStatus, tags
from leaseway.jobs.model import created_key, owner_shard
from metering import metered

pytestmark = pytest.mark.usefixtures("cloud")

JOB = Job(
    id="1" * 32, type="SLEEP", payload={}, owner="ann", status=JobStatus.CREATED, ttl_ms=1, max_attempts=1,
    created_at=1_800_000_000_000, updated_at=1_800_000_000_000, tags=("blue", "tenant:7"),
)  # fmt: skip
IMAGE: dict[str, Any] = {
    "id": {"S": JOB.id},
    "owner": {"S": JOB.owner},
    "created_at": {"N": str(JOB.created_at)},
    "tags": {"SS": list(JOB.tags)},
}


def rows() -> list[tuple[str, str, str]]:
    found = aws.client("dynamodb").scan(TableName="tags")["Items"]
    return sorted((row["tag_key"]["S"], row["created_key"]["S"], row["id"]["S"]) for row in found)


def keep_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table takes nothing of a batch, however often it is asked."""
    monkeypatch.setattr(batches, "_pause", lambda _: None)
    client = aws.client("dynamodb")
    original = client._make_api_call

    def throttled(name: str, request: dict[str, Any]) -> Any:
        if name == "BatchWriteItem":
            return {"UnprocessedItems": request["RequestItems"]}
        return original(name, request)

    monkeypatch.setattr(client, "_make_api_call", throttled)


def test_a_row_a_tag_under_the_owner_the_tag_and_the_jobs_shard() -> None:
    assert tags.remember([JOB]) == set()
    shard, sort = owner_shard(JOB.id), created_key(JOB.created_at, JOB.id)
    assert rows() == [(f"ann#blue#{shard}", sort, JOB.id), (f"ann#tenant:7#{shard}", sort, JOB.id)]
    for tag_key, _, _ in rows():
        assert tag_key in (*tags.hashes("ann", "blue"), *tags.hashes("ann", "tenant:7"))


def test_a_job_that_is_gone_leaves_no_row_and_forgetting_again_is_harmless() -> None:
    others = msgspec.structs.replace(JOB, id="2" * 32)
    tags.remember([JOB, others])
    for _ in range(2):
        tags.forget(IMAGE)
    assert {job_id for _, _, job_id in rows()} == {others.id}


def test_what_the_table_keeps_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tags.remember([JOB])
    keep_back(monkeypatch)
    assert tags.remember([JOB]) == {JOB.id}
    with pytest.raises(UnavailableError):
        tags.forget(IMAGE)


def test_no_tags_cost_nothing() -> None:
    untagged = msgspec.structs.replace(JOB, tags=())
    with metered() as meter:
        tags.remember([untagged])
        tags.forget({name: value for name, value in IMAGE.items() if name != "tags"})
    assert meter.count() == 0


def test_a_row_costs_one_unit_and_twenty_five_one_call() -> None:
    jobs = [msgspec.structs.replace(JOB, id=f"{number:032x}") for number in range(13)]
    with metered() as meter:
        tags.remember(jobs)
    assert (meter.count("dynamodb"), meter.write_units("tags")) == (2, 26)


def test_tags_come_once_each_in_the_order_of_the_alphabet() -> None:
    assert tags.checked(["b", "a", "b"]) == ("a", "b")


@pytest.mark.parametrize("given", [["a"] * 11, [""], ["a b"], ["a#b"], ["#"], ["-a"], ["ä"], ["a" * 65], ["a\n"]])
def test_what_is_no_tag_is_refused(given: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        tags.checked(given)
    assert refusal.value.field == "tags"
