"""Tags: the rows that jobs are found by, written before a job and removed after it; and the lists they make."""

from typing import Any

import msgspec
import pytest

from leaseway import aws, clock
from leaseway.cursors import InvalidCursorError
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyReusedError
from leaseway.jobs import Job, JobStatus, Options, create_job, get_job, tags
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.find.lists import page_of_jobs
from leaseway.jobs.run import claim
from leaseway.jobs.table import created_key, owner_shard
from leaseway.jobs.tag_syntax import check_tags
from support.api_gateway import call, post
from support.call_meter import meter_calls

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
    items = aws.client("dynamodb").scan(TableName="tags")["Items"]
    return sorted((row["tag_key"]["S"], row["created_key"]["S"], row["id"]["S"]) for row in items)


def keep_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table takes nothing of a batch, however often it is asked."""
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    client = aws.client("dynamodb")
    original = client._make_api_call

    def call_throttled_table(name: str, request: dict[str, Any]) -> Any:
        if name == "BatchWriteItem":
            return {"UnprocessedItems": request["RequestItems"]}
        return original(name, request)

    monkeypatch.setattr(client, "_make_api_call", call_throttled_table)


def test_a_row_a_tag_under_the_owner_the_tag_and_the_jobs_shard() -> None:
    assert tags.insert_rows([JOB]) == set()
    shard, sort = owner_shard(JOB.id), created_key(JOB.created_at, JOB.id)
    assert rows() == [(f"ann#blue#{shard}", sort, JOB.id), (f"ann#tenant:7#{shard}", sort, JOB.id)]
    for tag_key, _, _ in rows():
        assert tag_key in (*tags.hash_keys("ann", "blue"), *tags.hash_keys("ann", "tenant:7"))


def test_a_job_that_is_gone_leaves_no_row_and_forgetting_again_is_harmless() -> None:
    others = msgspec.structs.replace(JOB, id="2" * 32)
    tags.insert_rows([JOB, others])
    for _ in range(2):
        tags.delete_rows_of_image(IMAGE)
    assert {job_id for _, _, job_id in rows()} == {others.id}


def test_what_the_table_keeps_back_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    tags.insert_rows([JOB])
    keep_back(monkeypatch)
    assert tags.insert_rows([JOB]) == {JOB.id}
    with pytest.raises(UnavailableError):
        tags.delete_rows_of_image(IMAGE)


def test_no_tags_cost_nothing() -> None:
    untagged = msgspec.structs.replace(JOB, tags=())
    with meter_calls() as meter:
        tags.insert_rows([untagged])
        tags.delete_rows_of_image({name: value for name, value in IMAGE.items() if name != "tags"})
    assert meter.count() == 0


def test_a_row_costs_one_unit_and_twenty_five_one_call() -> None:
    jobs = [msgspec.structs.replace(JOB, id=f"{number:032x}") for number in range(13)]
    with meter_calls() as meter:
        tags.insert_rows(jobs)
    assert (meter.count("dynamodb"), meter.write_units("tags")) == (2, 26)


def test_tags_come_once_each_in_the_order_of_the_alphabet() -> None:
    assert check_tags(["b", "a", "b"]) == ("a", "b")


@pytest.mark.parametrize("texts", [["a"] * 11, [""], ["a b"], ["a#b"], ["#"], ["-a"], ["ä"], ["a" * 65], ["a\n"]])
def test_what_is_no_tag_is_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_tags(texts)
    assert refusal.value.field == "tags"


# ---- With creation -----------------------------------------------------------------------------------------------


def create(*names: str, owner: str = "ann", key: IdempotencyKey | None = None, **options: Any) -> Job:
    return create_job(owner, "SLEEP", {"duration_ms": 1}, Options(tags=names, **options), key=key)


def find_ids(tag: str, **selection: Any) -> list[str]:
    return [job.id for job in page_of_jobs(**{"owner": "ann", "tag": tag} | selection).content]


def item_of(job: Job) -> Any:
    return aws.client("dynamodb").get_item(TableName="jobs", Key={"id": {"S": job.id}})["Item"]


def test_a_tagged_job_is_found_by_each_of_its_tags() -> None:
    job, other = create("blue", "tenant:7", "blue"), create("blue")
    assert get_job(job.id, owner="ann").tags == job.tags == ("blue", "tenant:7")
    assert set(find_ids("blue")) == {job.id, other.id}
    assert find_ids("tenant:7") == [job.id]
    assert find_ids("green") == []


def test_an_untagged_job_costs_what_it_did_and_each_tag_one_unit() -> None:
    with meter_calls() as meter:
        create()
    assert (meter.count("dynamodb"), meter.write_units()) == (1, 3)
    with meter_calls() as meter:
        create(*(f"t{number}" for number in range(10)))
    assert meter.operations() == {"dynamodb.BatchWriteItem": 1, "dynamodb.PutItem": 1, "sqs.SendMessageBatch": 1}
    assert (meter.write_units("tags"), meter.write_units("jobs")) == (10, 3)


def test_without_its_rows_no_job_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_back(monkeypatch)
    with pytest.raises(UnavailableError):
        create("blue")
    assert aws.client("dynamodb").scan(TableName="jobs")["Items"] == []


def test_a_repeat_under_a_key_is_one_job_with_one_row_a_tag() -> None:
    key = IdempotencyKey("ann", "POST /api/v1/jobs", "k")
    first = create("blue", "red", key=key)
    later = first.created_at / 1000 + 5
    with clock.fixed(lambda: later):
        again = create("red", "blue", key=key)
        with pytest.raises(KeyReusedError):
            create("green", key=key)
    assert (again.id, again.tags) == (first.id, first.tags)
    assert len(rows()) == 2
    assert find_ids("blue") == [first.id]


def test_a_batch_writes_the_rows_of_all_its_jobs_together() -> None:
    requests = [JobRequest("SLEEP", {"duration_ms": 1}, Options(tags=["batch"]))] * 25
    with meter_calls() as meter:
        jobs = create_jobs("ann", requests)
    assert meter.count("dynamodb", "BatchWriteItem") == 2
    assert sorted(find_ids("batch", size=100)) == sorted(job.id for job in jobs if isinstance(job, Job))


# ---- Lists -------------------------------------------------------------------------------------------------------


def test_a_list_by_tag_is_newest_first_one_owners_and_filtered_further() -> None:
    jobs = []
    for second in range(6):
        with clock.fixed(lambda second=second: 1_800_000_000 + second):
            jobs.append(create("blue", owner="ann" if second % 3 else "bob"))
    own = [job.id for job in reversed(jobs) if job.owner == "ann"]
    assert find_ids("blue") == own
    claim.claim(own[1], "w")
    assert find_ids("blue", status=JobStatus.RUNNING) == [own[1]]
    assert find_ids("blue", type_name="HTTP_GET") == []
    assert set(find_ids("blue", owner=None, status=JobStatus.CREATED)) == {job.id for job in jobs} - {own[1]}


def test_cursors_lead_through_a_tag_once_and_its_length_is_shown_if_known() -> None:
    ids = {create("blue").id for _ in range(23)}
    seen: list[str] = []
    cursor, pages = None, []
    while True:
        page = page_of_jobs(owner="ann", tag="blue", size=5, cursor=cursor)
        seen += [job.id for job in page.content]
        pages.append(page.total_elements)
        if (cursor := page.cursor) is None:
            break
    assert (sorted(seen), pages[0]) == (sorted(ids), None)
    assert page_of_jobs(owner="ann", tag="blue", size=100).total_elements == 23


def test_a_cursor_of_one_tag_opens_no_other() -> None:
    for _ in range(3):
        create("blue", "red")
    cursor = page_of_jobs(owner="ann", tag="blue", size=1).cursor
    with pytest.raises(InvalidCursorError):
        page_of_jobs(owner="ann", tag="red", size=1, cursor=cursor)


def test_a_row_without_its_job_is_passed_over() -> None:
    created, lost = create("blue"), create("blue")
    aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": lost.id}})
    elsewhen = msgspec.structs.replace(created, created_at=created.created_at - 1)
    tags.insert_rows([elsewhen])
    assert find_ids("blue") == [created.id]


def test_a_page_by_tag_reads_in_proportion_to_itself() -> None:
    def cost(count: int) -> tuple[int, int]:
        for _ in range(count):
            create("blue")
        with meter_calls() as meter:
            assert len(find_ids("blue", size=20)) == 20
        return meter.count("dynamodb"), meter.keys()

    # Then at 40 jobs and at 240 it is four queries, each for its share and some, and one read of the page
    for calls, keys in (cost(40), cost(200)):
        assert calls <= 6
        assert keys <= 80


def test_what_forgets_a_job_is_its_own_last_image() -> None:
    job, other = create("blue", "red"), create("blue")
    image = item_of(job)
    aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": job.id}})
    tags.delete_rows_of_image(image)
    assert {job_id for _, _, job_id in rows()} == {other.id}


def test_over_http_tags_are_taken_shown_and_searched() -> None:
    created = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 1}, "tags": ["b", "a"]})
    assert (created.status, created.json["tags"]) == (202, ["a", "b"])
    listed = call("GET", "/api/v1/jobs", query={"tag": ["a"]}).json
    assert [job["id"] for job in listed["content"]] == [created.json["id"]]
    assert (listed["totalElements"], listed["totalPages"]) == (1, 1)
    refused = post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 1}, "tags": ["a b"]})
    assert (refused.status, refused.json["field"]) == (400, "tags[0]")
    assert call("GET", "/api/v1/jobs", query={"tag": ["#"]}).status == 400
