"""Debian's Prometheus on the deployed stack: it signs in, scrapes, and answers the documented queries."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from leaseway.prometheus import FAMILIES
from prometheus.prometheus_server import Prometheus, lint, wait_until_covered
from support.deployed_stacks import DeployedStack
from support.function_logs import read_log_lines
from support.prometheus_page import parse_samples
from support.waiting import wait_until

REQUESTS = 45
# A route that nothing but this test asks for.
ROUTE = '{route="/openapi.json",status="2xx"}'
JOB = {"type": "SLEEP", "payload": {"duration_ms": 600_000}, "ttl_ms": 700_000}


@pytest.fixture(scope="module", autouse=True)
def first_of_a_series(meter_stack: DeployedStack, prometheus: Prometheus) -> None:
    """One request that Prometheus knows of, early: a rate needs a minute of what was before."""
    send_requests(meter_stack, 1)
    prometheus.wait_for_value(1, f"http_requests_total{ROUTE}")


@pytest.fixture
def jobs(meter_stack: DeployedStack) -> Iterator[list[str]]:
    """Jobs that the test makes; cancelled after it."""
    job_ids: list[str] = []
    yield job_ids
    for job in job_ids:
        meter_stack.api.request("POST", f"/api/v1/jobs/{job}/cancel", json=None)


def send_requests(stack: DeployedStack, count: int) -> None:
    """So many answered requests, three at a time."""
    url = f"{stack.outputs.api_url}/openapi.json"
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: httpx.get(url, timeout=60).status_code, range(count))) == {200}


def three_environments(stack: DeployedStack) -> None:
    """Each of three requests that wait keeps one."""
    body = {"types": ["EXTERNAL"], "worker": "w", "wait_seconds": 2}
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda _: stack.api.request("POST", "/api/v1/jobs/claim", json=body).status_code, range(3))
        assert set(answers) == {204}


def test_promtool_objects_only_to_the_name_kept_for_compatibility(meter_stack: DeployedStack) -> None:
    page = meter_stack.api.request("GET", "/metrics").text
    assert parse_samples(page)
    assert [line for line in lint(page) if not line.startswith("app_active_tasks_total ")] == []


def test_prometheus_knows_every_metric_by_its_kind(prometheus: Prometheus) -> None:
    metadata = prometheus.get_data("metadata")
    assert {name: metadata[name][0]["type"] for name in FAMILIES} == {
        name: family.kind.value for name, family in FAMILIES.items()
    }


def test_a_new_worker_appears_by_itself_and_the_sum_is_what_runs(
    meter_stack: DeployedStack, prometheus: Prometheus, jobs: list[str]
) -> None:
    def start_job(**options: Any) -> str:
        job = meter_stack.api.post("/api/v1/jobs", JOB | options)["id"]
        jobs.append(job)
        path = f"/api/v1/jobs/{job}"
        return str(wait_until(lambda: meter_stack.api.get(path).get("worker"), seconds=60, what=f"a worker for {job}"))

    prometheus.wait_for_value(None, "sum(app_active_tasks_total)")
    created = prometheus.value("sum(leaseway_jobs_created_total)") or 0
    first = start_job()
    prometheus.wait_for_value(1, "sum(app_active_tasks_total)")
    # A worker at work takes no other batch: the next job's is another, which is in no configuration of Prometheus
    second = start_job(priority="high")
    assert second != first
    prometheus.wait_for_value(2, "sum(app_active_tasks_total)")
    by_worker = prometheus.query("sum by (worker) (app_active_tasks_total)")
    assert by_worker == {(("worker", worker),): 1 for worker in (first, second)}
    meter_stack.api.post(f"/api/v1/jobs/{jobs[0]}/cancel", None)
    prometheus.wait_for_value(1, "sum(app_active_tasks_total)")
    prometheus.wait_for_value(created + 2, "sum(leaseway_jobs_created_total)")


def test_requests_over_three_environments_are_exactly_so_many_and_the_rates_are_theirs(
    meter_stack: DeployedStack, prometheus: Prometheus
) -> None:
    # Given three environments, and a series that Prometheus has seen for a minute
    three_environments(meter_stack)
    prometheus.wait_for_value(3, 'http_requests_total{route="/api/v1/jobs/claim"}')
    assert (prometheus.value('leaseway_cold_starts_total{function="api"}') or 0) >= 3
    wait_until_covered(prometheus, f"http_requests_total{ROUTE}", 60)
    # When N requests are answered
    send_requests(meter_stack, REQUESTS)
    # Then it says N, in all and by bucket
    prometheus.wait_for_value(1 + REQUESTS, f"http_requests_total{ROUTE}")
    at = last_scrape(prometheus)
    assert prometheus.value('http_request_duration_seconds_bucket{route="/openapi.json",le="+Inf"}', at) == 1 + REQUESTS
    # And the rate is what came in the minute: never below it, and above it by no more than the minute lacks in samples
    count = rate(prometheus, "http_requests_total", at)
    assert count.least <= count.reported_rate <= count.most
    # And the average time is that of the log's own lines
    logged = read_log_lines(meter_stack.client, meter_stack.outputs["ApiFunction"])
    durations = [line["ms"] for line in logged if line.get("route") == "/openapi.json"]
    assert len(durations) == 1 + REQUESTS
    assert prometheus.value(f"http_request_duration_seconds_sum{ROUTE}", at) == pytest.approx(sum(durations) / 1000)
    seconds = rate(prometheus, "http_request_duration_seconds_sum", at)
    average = prometheus.value(
        f"rate(http_request_duration_seconds_sum{ROUTE}[1m]) / rate(http_request_duration_seconds_count{ROUTE}[1m])", at
    )
    assert average is not None
    assert seconds.least / count.most <= average <= seconds.most / count.least


class Rate:
    """What `rate` over a minute says, and the bounds that the minute's own samples give it."""

    def __init__(self, reported_rate: float, samples: list[tuple[float, float]]) -> None:
        (first, before), (last, after) = samples[0], samples[-1]
        self.reported_rate = reported_rate
        self.least = (after - before) / 60 * 0.999_999
        self.most = (after - before) / (last - first) * 1.000_001


def rate(prometheus: Prometheus, name: str, at: float) -> Rate:
    reported_rate = prometheus.value(f"rate({name}{ROUTE}[1m])", at)
    assert reported_rate, f"{name} stands still"
    return Rate(reported_rate, prometheus.samples(f"{name}{ROUTE}[1m]", at))


def last_scrape(prometheus: Prometheus) -> float:
    """When the counter's newest sample was taken, in seconds since the epoch."""
    scraped_at = prometheus.value(f"timestamp(http_requests_total{ROUTE})")
    assert scraped_at is not None
    return scraped_at
