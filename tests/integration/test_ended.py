"""Lists by the time of end on a deployed stack that has their index: nothing is missed while jobs end side by side."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from leaseway_local.connection.api_client import ApiClient
from support.deployed_stacks import DeployedStack, StackFactory
from support.waiting import wait_until

JOBS = 40


@pytest.fixture(scope="module")
def stack_with_index(make_stack: StackFactory) -> DeployedStack:
    return make_stack("ended", EndedIndex=True)


class Poller:
    """Follows the cursor of the list, which never ends."""

    def __init__(self, api: ApiClient, **query: Any) -> None:
        self.api, self.query = api, {"ended_after": "2020-01-01T00:00:00Z", "size": 7, **query}
        self.ends: list[tuple[str, str]] = []

    def poll(self) -> int:
        """Read one page; returns how many ends came so far."""
        page = self.api.request("GET", "/api/v1/jobs", params=self.query).raise_for_status().json()
        self.query["cursor"] = page["cursor"]
        self.ends += [(job["finished_at"], job["id"]) for job in page["content"]]
        return len(self.ends)


def test_pollers_get_each_end_once_and_in_order_while_jobs_end_side_by_side(stack_with_index: DeployedStack) -> None:
    # Given pollers that have begun, and jobs of two users that end side by side, in no order of their creation
    ann, bob = stack_with_index.as_user("ann"), stack_with_index.as_user("bob")
    own, everybody = Poller(ann), Poller(stack_with_index.api, owner="*")
    own.poll(), everybody.poll()

    def create(number: int) -> str:
        body = {"type": "SLEEP", "payload": {"duration_ms": 10 + 400 * (number % 3)}}
        return str((ann if number % 2 else bob).post("/api/v1/jobs", body)["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(create, range(JOBS)))

    # When they poll until every end was listed
    wait_until(lambda: own.poll() >= JOBS // 2 and everybody.poll() >= JOBS, seconds=180, what="every end", every=0.2)

    # Then each came once, the oldest end first
    assert sorted(job_id for _, job_id in own.ends) == sorted(ids[1::2])
    assert sorted(job_id for _, job_id in everybody.ends) == sorted(ids)
    for poller in (own, everybody):
        assert [end for end, _ in poller.ends] == sorted(end for end, _ in poller.ends)
        assert poller.poll() == len(poller.ends)
