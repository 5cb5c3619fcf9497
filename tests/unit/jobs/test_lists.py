"""Lists: order, filters, pages, cursors, and what a page reads."""

from typing import Any

import pytest

from leaseway import aws, clock, cursors
from leaseway.counters import count
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.jobs.find.lists import JobPage, UseCursorError, page_of_jobs
from leaseway.jobs.job import JobStatus
from leaseway.settings import settings
from leaseway.tally.job_totals import Group
from support.call_meter import meter_calls
from support.job_changes import make_job_change
from support.seed_jobs import EPOCH_MS, make_job_item, put_jobs

pytestmark = pytest.mark.usefixtures("cloud")


def numbers(page: JobPage) -> list[int]:
    """A seeded job's number is its time of creation."""
    return [job.created_at - EPOCH_MS for job in page.content]


def walk(**selection: Any) -> list[list[int]]:
    """Every page of a list, by its cursors."""
    page = page_of_jobs(**selection)
    pages = [numbers(page)]
    while page.cursor:
        page = page_of_jobs(**selection, cursor=page.cursor)
        pages.append(numbers(page))
        assert len(pages) < 200, "the cursor leads in a circle"
    return pages


def flat(pages: list[list[int]]) -> list[int]:
    return [number for page in pages for number in page]


def test_an_owner_sees_own_jobs_newest_first() -> None:
    put_jobs([make_job_item(n) for n in range(30)] + [make_job_item(n, owner="bob") for n in range(5)])
    page = page_of_jobs(owner="alice", size=10)
    assert numbers(page) == list(range(29, 19, -1))
    assert page.page == 0
    assert page.cursor


def test_the_last_page_has_no_cursor_even_when_it_is_full() -> None:
    put_jobs([make_job_item(n) for n in range(20)])
    first = page_of_jobs(owner="alice", size=10)
    last = page_of_jobs(owner="alice", size=10, cursor=first.cursor)
    assert (len(last.content), last.cursor, last.page) == (10, None, None)


@pytest.mark.parametrize("size", [1, 7, 50, 100])
def test_cursors_lead_through_every_job_once(size: int) -> None:
    put_jobs([make_job_item(n) for n in range(60)])
    assert flat(walk(owner="alice", size=size)) == list(range(59, -1, -1))


def test_pages_and_cursors_agree() -> None:
    put_jobs([make_job_item(n) for n in range(50)])
    by_cursor = walk(owner="alice", size=20)
    by_page = [numbers(page_of_jobs(owner="alice", size=20, page=number)) for number in range(3)]
    assert by_cursor == by_page


def test_a_list_in_a_finished_status_holds_nothing_else() -> None:
    put_jobs([make_job_item(n, status="FAILED" if n % 3 else "COMPLETED") for n in range(30)])
    put_jobs([make_job_item(n, owner="bob", status="FAILED") for n in range(30, 33)])
    own = page_of_jobs(owner="alice", status=JobStatus.FAILED, size=100)
    everybody = page_of_jobs(owner=None, status=JobStatus.FAILED, size=100)
    assert numbers(own) == [n for n in range(29, -1, -1) if n % 3]
    assert numbers(everybody) == [32, 31, 30, *numbers(own)]


def test_an_owners_running_jobs_are_found_among_others() -> None:
    put_jobs([make_job_item(n, status="RUNNING" if n % 10 == 0 else "COMPLETED") for n in range(100)])
    assert flat(walk(owner="alice", status=JobStatus.RUNNING, size=3)) == list(range(90, -1, -10))


def test_everybodys_live_jobs_come_by_their_next_look() -> None:
    put_jobs([make_job_item(n, owner=f"o{n % 3}", status="CREATED" if n % 2 else "RUNNING") for n in range(40)])
    assert flat(walk(owner=None, status=JobStatus.CREATED, size=6)) == list(range(1, 40, 2))


def test_live_jobs_with_the_same_look_come_once() -> None:
    # Given 60 jobs whose next look is the same millisecond, when the list is walked in pages of 7, then each comes once
    put_jobs([make_job_item(n, status="CREATED", look_at=EPOCH_MS) for n in range(60)])
    assert sorted(flat(walk(owner=None, status=JobStatus.CREATED, size=7))) == list(range(60))


def test_a_job_that_moves_in_the_live_list_is_not_missed() -> None:
    # Given a first page, when the sweeper then moves a job of a later page, then it still comes
    put_jobs([make_job_item(n, status="CREATED") for n in range(20)])
    first = page_of_jobs(owner=None, status=JobStatus.CREATED, size=5)
    moved = make_job_item(8, status="CREATED", look_at=EPOCH_MS + 500_000)
    put_jobs([moved])
    rest, cursor = [], first.cursor
    while cursor:
        page = page_of_jobs(owner=None, status=JobStatus.CREATED, size=5, cursor=cursor)
        rest, cursor = rest + numbers(page), page.cursor
    assert rest == [5, 6, 7, *range(9, 20), 8]


@pytest.mark.parametrize("status", [None, JobStatus.COMPLETED])
def test_a_type_filters(status: JobStatus | None) -> None:
    put_jobs([make_job_item(n, type_name="HTTP_GET" if n % 7 == 0 else "SLEEP") for n in range(60)])
    assert flat(walk(owner="alice", status=status, type_name="HTTP_GET", size=4)) == list(range(56, -1, -7))
    assert flat(walk(owner="alice", status=status, type_name="NONE", size=4)) == []


def test_a_filtered_page_reads_at_most_its_key_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given 500 jobs of which only the oldest matches and a budget of 100 keys, when the list is walked,
    # then no page reads more, the empty ones hand out cursors, and the match is found
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    put_jobs([make_job_item(n, type_name="SLEEP" if n else "HTTP_GET") for n in range(500)])
    cursor, matches, pages = None, [], 0
    while pages == 0 or cursor:
        with meter_calls() as meter:
            page = page_of_jobs(owner="alice", type_name="HTTP_GET", size=20, cursor=cursor)
        index_keys = sum(call.keys for call in meter.calls if _index_of(call) is not None)
        assert index_keys <= 100
        cursor, matches, pages = page.cursor, matches + numbers(page), pages + 1
    assert matches == [0]
    assert pages >= 5


def _index_of(call: Any) -> str | None:
    return call.charges[0].index if call.charges else None


def test_a_deep_page_that_runs_out_of_budget_goes_on_by_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a page deeper than its budget reaches, when its cursor is followed, then the page's own jobs come
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    put_jobs([make_job_item(n, type_name="SLEEP" if n % 10 else "HTTP_GET") for n in range(400)])
    page = page_of_jobs(owner="alice", type_name="HTTP_GET", size=5, page=4)
    while not page.content:
        assert page.cursor
        page = page_of_jobs(owner="alice", type_name="HTTP_GET", size=5, cursor=page.cursor)
    assert numbers(page)[0] == 190


def test_expired_and_vanished_jobs_are_left_out() -> None:
    put_jobs([make_job_item(n, **({"expires_at": 1} if n == 3 else {})) for n in range(6)])
    assert numbers(page_of_jobs(owner="alice")) == [5, 4, 2, 1, 0]


def test_a_job_that_left_the_status_since_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an index entry that lags behind its item, when the list is read, then the job is not shown as what it was
    stale = make_job_item(1, status="FAILED")
    stale["status"] = {"S": "CREATED"}
    put_jobs([stale, make_job_item(2, status="FAILED")])
    assert numbers(page_of_jobs(owner="alice", status=JobStatus.FAILED)) == [2]


def test_keys_that_dynamodb_keeps_back_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    put_jobs([make_job_item(n) for n in range(10)])
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    client = _Reluctant(aws.client("dynamodb"), gives=3)
    monkeypatch.setattr(aws, "client", lambda *_, **__: client)
    assert numbers(page_of_jobs(owner="alice")) == list(range(9, -1, -1))
    client.gives = 0
    with pytest.raises(UnavailableError):
        page_of_jobs(owner="alice")


class _Reluctant:
    """A real client whose BatchGetItem answers `gives` keys a call."""

    def __init__(self, client: Any, gives: int) -> None:
        self._client, self.gives = client, gives

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
        ((table, request),) = RequestItems.items()
        keys, withheld = request["Keys"][: self.gives], request["Keys"][self.gives :]
        answer = self._client.batch_get_item(RequestItems={table: {"Keys": keys}}) if keys else {"Responses": {}}
        return {**answer, "UnprocessedKeys": {table: {"Keys": withheld}} if withheld else {}}


@pytest.mark.parametrize(
    ("selection", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": 101}, "size"),
        ({"size": 10**9}, "size"),
        ({"page": -1}, "page"),
        ({"page": 0, "cursor": "x"}, "page"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"owner": None}, "status"),
        ({"owner": None, "type_name": "SLEEP"}, "status"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(selection: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        page_of_jobs(**{"owner": "alice", **selection})
    assert refused.value.field == field


def test_pages_reach_1000_jobs_deep_and_no_deeper() -> None:
    assert page_of_jobs(owner="alice", size=100, page=10).content == []
    with pytest.raises(UseCursorError) as refused:
        page_of_jobs(owner="alice", size=100, page=11)
    assert refused.value.code == "USE_CURSOR"


def test_a_cursor_fits_no_other_list() -> None:
    put_jobs([make_job_item(n) for n in range(10)])
    cursor = page_of_jobs(owner="alice", size=5).cursor
    for other in (
        {"owner": "bob"},
        {"owner": "alice", "status": JobStatus.COMPLETED},
        {"owner": "alice", "type_name": "A"},
    ):
        with pytest.raises(cursors.InvalidCursorError):
            page_of_jobs(**other, size=5, cursor=cursor)


def test_the_page_size_may_change_between_pages() -> None:
    put_jobs([make_job_item(n) for n in range(10)])
    first = page_of_jobs(owner="alice", size=4)
    assert numbers(page_of_jobs(owner="alice", size=3, cursor=first.cursor)) == [5, 4, 3]


def test_totals_count_the_list_not_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    put_jobs([make_job_item(n) for n in range(30)])
    count(make_job_change(str(n), None, Group("alice", "COMPLETED", "SLEEP")) for n in range(30))
    page = page_of_jobs(owner="alice", status=JobStatus.COMPLETED, size=20)
    assert (page.total_elements, page.total_pages) == (30, 2)


def test_a_short_list_knows_its_length_before_the_stream_does() -> None:
    # Given 3 jobs that the tally has not seen, when they are listed, then the total is what the page saw
    put_jobs([make_job_item(n) for n in range(3)])
    page = page_of_jobs(owner="alice", size=20)
    assert (page.total_elements, page.total_pages) == (3, 1)


def test_an_empty_list_is_an_empty_page() -> None:
    page = page_of_jobs(owner=None, status=JobStatus.CANCELLED)
    assert page == JobPage(content=[], total_elements=0, total_pages=0, page=0, size=20, cursor=None)


def test_a_page_costs_one_query_a_shard_one_batch_and_one_total() -> None:
    put_jobs([make_job_item(n) for n in range(200)])
    with meter_calls() as own:
        page_of_jobs(owner="alice", size=20)
    with meter_calls() as everybody:
        page_of_jobs(owner=None, status=JobStatus.COMPLETED, size=20)
    assert (own.count("dynamodb", "Query"), own.count("dynamodb", "BatchGetItem")) == (4 + 1, 1)
    assert (everybody.count("dynamodb", "Query"), everybody.count("dynamodb", "BatchGetItem")) == (16 + 1, 1)
    assert everybody.write_units() == 0


def test_running_jobs_behind_a_backlog_are_reached_by_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given more jobs that wait than a page may read keys, and running ones whose next look comes after theirs
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    put_jobs([make_job_item(n, status="CREATED") for n in range(250)])
    put_jobs([make_job_item(n, status="RUNNING", look_at=EPOCH_MS + 900_000 + n) for n in range(250, 253)])
    # When the running ones are listed, then the first page is empty and leads on, and each comes once
    first, *rest = walk(owner=None, status=JobStatus.RUNNING, size=20)
    assert first == []
    assert flat(rest) == [250, 251, 252]
