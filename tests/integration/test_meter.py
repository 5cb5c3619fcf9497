"""The meter on the deployed stack, fed by the log groups' own subscriptions, as on AWS."""

import httpx
import pytest

from support.deployed_stacks import DeployedStack, StackFactory
from support.prometheus_page import parse_samples
from support.waiting import wait_until


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    """A stack whose lines the engine delivers."""
    return make_stack("subscribed", MeterSubscribed=True, SweeperEnabled=False, SchedulerEnabled=False)


def read_page(stack: DeployedStack) -> dict[tuple[str, ...], float]:
    return parse_samples(stack.api.request("GET", "/metrics").text)


def test_the_templates_own_subscriptions_bring_the_meter_each_request_once(stack: DeployedStack) -> None:
    name = ("http_requests_total", "GET", "/openapi.json", "2xx")
    for number in range(1, 6):
        assert httpx.get(f"{stack.outputs.api_url}/openapi.json", timeout=60, trust_env=False).status_code == 200
        wait_until(
            lambda number=number: read_page(stack).get(name) == number, seconds=120, what=f"request {number}", every=0.5
        )
    assert read_page(stack)[name] == 5


@pytest.mark.only_on("ministack", because="LocalStack loses the lines of an environment's first invocation")
def test_they_bring_what_functions_report_of_their_process_at_their_first_invocation(stack: DeployedStack) -> None:
    # Those with requests, and others, such as the ledger's, which wrote the first account's entry
    wait_until(
        lambda: {("process_cpu_seconds_total", each) for each in ("api", "ledger")} <= read_page(stack).keys(),
        seconds=120,
        what="what the functions used",
        every=0.5,
    )
    assert read_page(stack)["process_resident_memory_bytes", "ledger"] > 10_000_000
