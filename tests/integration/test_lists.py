"""Lists on the deployed stack: what a page reads does not depend on how many jobs there are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from leaseway.jobs.find.lists import JobPage, page_of_jobs
from leaseway.jobs.job import JobStatus
from leaseway.settings import require_setting
from support.as_function import act_as_function
from support.call_meter import Meter, meter_calls
from support.deployed_stacks import DeployedStack, StackFactory
from support.seed_jobs import EPOCH_MS, make_job_item, put_jobs
from support.waiting import wait_until

LISTS = {
    "of an owner": {"owner": "alice"},
    "of an owner in a finished status": {"owner": "alice", "status": JobStatus.COMPLETED},
    "of all owners in a finished status": {"owner": None, "status": JobStatus.COMPLETED},
}


@dataclass(frozen=True)
class Reads:
    """What one page cost. `keys` are the jobs table's; the total behind the page reads up to 8 counters in one unit."""

    calls: int
    keys: int
    units: float

    @classmethod
    def of(cls, meter: Meter) -> "Reads":
        of_jobs = [
            call
            for call in meter.calls
            if any(charge.table == require_setting("jobs_table") for charge in call.charges)
        ]
        return cls(meter.count("dynamodb"), sum(call.keys for call in of_jobs), meter.read_units())


def page_and_reads(**filters: Any) -> tuple[JobPage, Reads]:
    page_of_jobs(**filters)  # the first cursor of a process fetches the key that signs it
    with meter_calls() as meter:
        page = page_of_jobs(**filters)
    assert meter.write_units() == 0
    return page, Reads.of(meter)


def measure_lists(stack: Any, jobs: int) -> dict[str, tuple[JobPage, Reads]]:
    with act_as_function(stack):
        put_jobs([make_job_item(n) for n in range(jobs)])
        return {name: page_and_reads(**filters, size=20) for name, filters in LISTS.items()}


@pytest.fixture(scope="module")
def small(make_stack: StackFactory) -> DeployedStack:
    return make_stack("lists-small", SweeperEnabled=False)


@pytest.fixture(scope="module")
def large(make_stack: StackFactory) -> DeployedStack:
    return make_stack("lists-large", SweeperEnabled=False)


@pytest.fixture(scope="module")
def most(many: Callable[[int], int]) -> int:
    """How many jobs `large` has."""
    return many(10_000)


@pytest.fixture(scope="module")
def pages(small: DeployedStack, large: DeployedStack, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each list's first page and its reads, at 100 jobs and at 10,000."""
    return measure_lists(small, 100), measure_lists(large, most)


@pytest.mark.parametrize("name", LISTS)
def test_a_page_reads_the_same_at_100_and_at_10000_jobs(
    pages: tuple[dict[str, Any], dict[str, Any]], most: int, name: str
) -> None:
    (few_page, few), (many_page, many) = (measurements[name] for measurements in pages)
    assert [job.created_at - EPOCH_MS for job in few_page.content] == list(range(99, 79, -1))
    assert [job.created_at - EPOCH_MS for job in many_page.content] == list(range(most - 1, most - 21, -1))
    assert many.calls == pytest.approx(few.calls, rel=0.1)
    assert many.units == pytest.approx(few.units, rel=0.1)
    assert many.keys == pytest.approx(few.keys, rel=0.1)


def test_a_page_deep_inside_costs_what_the_first_one_does(
    pages: tuple[dict[str, Any], dict[str, Any]], large: DeployedStack
) -> None:
    _, (first_page, first) = (measurements["of an owner"] for measurements in pages)
    with act_as_function(large):
        cursor = first_page.cursor
        for _ in range(5):
            page, reads = page_and_reads(owner="alice", size=20, cursor=cursor)
            cursor = page.cursor
            assert reads.units == pytest.approx(first.units, rel=0.1)


def test_a_list_that_finds_nothing_reads_at_most_1000_keys(
    pages: tuple[dict[str, Any], dict[str, Any]], large: DeployedStack
) -> None:
    # Given 10,000 jobs of which none is live or of the type, when such lists are asked for, then each stops at 1,000
    # keys and hands out a cursor
    selections = [
        {"owner": "alice", "status": JobStatus.RUNNING},
        {"owner": "alice", "type_name": "HTTP_GET"},
        {"owner": None, "status": JobStatus.COMPLETED, "type_name": "HTTP_GET"},
    ]
    with act_as_function(large):
        for filters in selections:
            with meter_calls() as meter:
                page = page_of_jobs(**filters, size=20)
            read = sum(call.keys for call in meter.calls for charge in call.charges if charge.index)
            assert 900 <= read <= 1_000
            assert page.content == []
            assert page.cursor


def test_live_jobs_with_one_look_come_once_each(small: DeployedStack) -> None:
    # Given 50 live jobs to be looked at in one millisecond, when pages of 7 are walked, then each comes once
    with act_as_function(small):
        put_jobs([make_job_item(n, owner="live", status="CREATED", look_at=EPOCH_MS) for n in range(50)])
        seen, cursor = [], None
        while not seen or cursor:
            page = page_of_jobs(owner=None, status=JobStatus.CREATED, size=7, cursor=cursor)
            seen, cursor = [*seen, *(job.id for job in page.content if job.owner == "live")], page.cursor
    assert len(seen) == len(set(seen)) == 50


def test_totals_follow_10000_jobs(
    pages: tuple[dict[str, Any], dict[str, Any]], large: DeployedStack, most: int
) -> None:
    # Given 10,000 jobs in the table's stream, when the tally has seen them, then every list knows its length
    def read_page() -> Any:
        with act_as_function(large):
            return page_of_jobs(owner="alice", status=JobStatus.COMPLETED, size=20)

    wait_until(lambda: read_page().total_elements == most, seconds=180, what=f"{most} jobs counted", every=1)
    page = read_page()
    assert page.total_pages == most / 20
