"""Lists of jobs by the time of their end, read by a poller."""

import random
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.cursors import InvalidCursorError
from leaseway.errors import InvalidInputError
from leaseway.jobs import Job, JobStatus, cancel_job, create_job, retry_job
from leaseway.jobs.find.ended import SETTLED_MS, NoEndedIndexError, page_of_ended_jobs
from leaseway.jobs.find.lists import JobPage
from leaseway.jobs.table import end_key, end_shard
from leaseway.settings import settings
from support.api_gateway import call, make_caller
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.job_steps import read_job
from support.seed_jobs import make_job_item, put_jobs

START = 1_767_225_600_000


@pytest.fixture(autouse=True)
def cloud_with_index(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDED_INDEX", "true")
    settings.cache_clear()


def make_ended_item(number: int, finished_at: int, owner: str = "alice", **more: Any) -> Any:
    job_id = make_job_item(number, owner)["id"]["S"]
    keys = {"ended_shard": end_shard(job_id), "ended_key": end_key(finished_at, owner, job_id)}
    return make_job_item(number, owner, finished_at=finished_at, **keys, **more)


class Poller:
    """Reads the list again and again with its last cursor."""

    def __init__(self, owner: str | None = "alice", size: int = 20, **options: Any) -> None:
        self.options: dict[str, Any] = {"owner": owner, "ended_after": START, "size": size, **options}
        self.seen: list[str] = []
        self.cursor: str | None = None

    def poll(self) -> list[Job]:
        """Read pages until the cursor stays the same."""
        jobs: list[Job] = []
        while True:
            page = page_of_ended_jobs(cursor=self.cursor, **self.options)
            jobs += page.content
            if page.cursor == self.cursor:
                self.seen += [job.id for job in jobs]
                return jobs
            self.cursor = page.cursor


def finish(owner: str = "alice") -> Job:
    return cancel_job(create_job(owner, "SLEEP", {"duration_ms": 1}).id, owner=owner, actor=owner)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_each_end_comes_once_and_in_order_between_polls(fake_clock: FakeClock, size: int) -> None:
    # Given a poller, and jobs that end in no order of their creation, several in one millisecond
    chance, poller, ends = random.Random(size), Poller(size=size), {}
    for number in range(200):
        end = START + chance.randrange(100) * 1_000
        ends[make_job_item(number)["id"]["S"]] = end
        put_jobs([make_ended_item(number, end)])
    # When it polls while time passes
    order: list[int] = []
    for _ in range(8):
        order += [job.finished_at or 0 for job in poller.poll()]
        fake_clock.move(seconds=31)
    # Then it got each job once, the oldest end first
    assert sorted(poller.seen) == sorted(ends)
    assert order == sorted(ends.values())


def test_an_end_that_becomes_visible_late_is_not_missed(fake_clock: FakeClock) -> None:
    # Given a write of an end that takes 40 seconds, and a later end that is visible at once
    slow, quick = START + 1_000, START + 30_000
    put_jobs([make_ended_item(2, quick)])
    poller = Poller()
    fake_clock.move(seconds=35)
    assert poller.poll() == []
    # When the first becomes visible after a poll
    fake_clock.move(seconds=6)
    put_jobs([make_ended_item(1, slow)])
    fake_clock.move(seconds=60)
    # Then both come
    assert [job.finished_at for job in poller.poll()] == [slow, quick]


def test_a_job_that_is_retried_leaves_the_list_and_comes_again_with_its_next_end(fake_clock: FakeClock) -> None:
    job, poller = finish(), Poller()
    fake_clock.move(seconds=61)
    assert [ended.id for ended in poller.poll()] == [job.id]
    retry_job(job.id, owner="alice")
    assert Poller().poll() == []
    cancel_job(job.id, owner="alice", actor="alice")
    fake_clock.move(seconds=61)
    assert [ended.id for ended in poller.poll()] == [job.id]
    assert (read_job(job).finished_at or 0) > START + 60_000


def test_an_owner_sees_own_jobs_and_reads_no_other_items(fake_clock: FakeClock) -> None:
    put_jobs([make_ended_item(number, START + number, owner) for number in range(40) for owner in ("alice", "bob")])
    fake_clock.move(seconds=120)
    assert {job.owner for job in Poller().poll()} == {"alice"}
    assert len(Poller(owner=None).poll()) == 80
    with meter_calls() as meter:
        page_of_ended_jobs(owner="bob", ended_after=START, size=100)
    assert sum(one.keys for one in meter.calls if one.operation == "BatchGetItem") == 40


def test_filters_keep_what_they_select(fake_clock: FakeClock) -> None:
    put_jobs([make_ended_item(1, START + 1, status="FAILED"), make_ended_item(2, START + 2, type_name="HTTP_GET"),
              make_ended_item(3, START + 3, tags={"blue"}), make_ended_item(4, START - 1)])  # fmt: skip
    fake_clock.move(seconds=120)

    def ends(**options: Any) -> list[int]:
        return [(job.finished_at or 0) - START for job in Poller(**options).poll()]

    assert ends() == [1, 2, 3]
    assert ends(status=JobStatus.FAILED) == [1]
    assert ends(type_name="HTTP_GET") == [2]
    assert ends(tag="blue") == [3]


def test_a_page_reads_at_most_its_budget_and_leads_on(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    put_jobs(
        [make_ended_item(number, START + number, "bob") for number in range(300)] + [make_ended_item(1, START + 500)]
    )
    fake_clock.move(seconds=120)
    first = page_of_ended_jobs(owner="alice", ended_after=START)
    assert first.content == []
    assert len(Poller().poll()) == 1


def test_the_cursor_stays_at_the_end_and_in_an_empty_list(fake_clock: FakeClock) -> None:
    def after(cursor: str | None) -> JobPage:
        return page_of_ended_jobs(owner="alice", ended_after=START, cursor=cursor)

    fake_clock.move(seconds=120)
    empty = after(None)
    assert after(empty.cursor).cursor == empty.cursor
    put_jobs([make_ended_item(1, START + 1)])
    last = after(empty.cursor)
    assert len(last.content) == 1
    assert after(last.cursor).cursor == last.cursor != empty.cursor


def test_a_clock_that_is_behind_reads_nothing_and_stays(fake_clock: FakeClock) -> None:
    put_jobs([make_ended_item(1, START + 1_000)])
    fake_clock.move(seconds=62)
    poller = Poller()
    poller.poll()
    cursor = poller.cursor
    fake_clock.move(seconds=-30)
    assert poller.poll() == []
    assert poller.cursor == cursor
    assert page_of_ended_jobs(owner="alice", ended_after=clock.now_ms() + 86_400_000).content == []


@pytest.mark.parametrize(
    ("options", "field"),
    [({"status": JobStatus.RUNNING}, "status"), ({"size": 0}, "size"), ({"tag": "not a tag!"}, "tag")],
)
def test_what_no_end_has_is_refused_with_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        page_of_ended_jobs(owner="alice", ended_after=START, **options)
    assert refusal.value.field == field


def test_a_cursor_fits_no_other_list() -> None:
    cursor = page_of_ended_jobs(owner="alice", ended_after=START).cursor
    for other in ({"owner": "bob"}, {"ended_after": START + 1}, {"status": JobStatus.FAILED}):
        with pytest.raises(InvalidCursorError):
            page_of_ended_jobs(**{"owner": "alice", "ended_after": START, "cursor": cursor, **other})


def test_without_the_index_the_list_is_refused_and_an_end_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDED_INDEX", "false")
    settings.cache_clear()
    with meter_calls() as meter:
        finish()
    assert not any(charge.index == "ended" for one in meter.calls for charge in one.charges)
    with pytest.raises(NoEndedIndexError):
        page_of_ended_jobs(owner="alice", ended_after=START)


def test_the_index_costs_one_write_unit_a_job() -> None:
    with meter_calls() as meter:
        finish()
    charges = [charge for one in meter.calls for charge in one.charges if charge.index == "ended"]
    assert [charge.write_units for charge in charges] == [1]


def test_the_api_lists_by_end_and_refuses_pages(fake_clock: FakeClock) -> None:
    job = finish("ann")
    fake_clock.move(seconds=61)
    query = {"ended_after": ["2026-01-01T00:00:00Z"]}
    answer = call("GET", "/api/v1/jobs", query=query, caller=make_caller("ann"))
    assert [one["id"] for one in answer.json["content"]] == [job.id]
    again = call("GET", "/api/v1/jobs", query={**query, "cursor": [answer.json["cursor"]]}, caller=make_caller("ann"))
    assert (again.json["content"], again.json["cursor"]) == ([], answer.json["cursor"])
    refused = call("GET", "/api/v1/jobs", query={**query, "page": ["0"]}, caller=make_caller("ann"))
    assert (refused.status, refused.json["errors"][0]["field"] if "errors" in refused.json else "page") == (400, "page")


def test_the_wait_is_longer_than_three_tries_of_a_write() -> None:
    config = aws.client("dynamodb").meta.config
    tries = config.retries["total_max_attempts"]
    assert tries * (config.connect_timeout + config.read_timeout) * 1_000 < SETTLED_MS
