"""GET /metrics: what Prometheus' own parser reads out of it is what happened."""

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaseway import metrics
from leaseway.accounts import InsufficientFundsError, change_balance, create_account
from leaseway.jobs import Options, cancel_job, create_job, retry_job
from leaseway.jobs.run import claim, finish
from leaseway.metrics import notes, process
from leaseway.prometheus import FAMILIES, MetricKind
from leaseway.prometheus.text import Histogram, render
from support.account_stream import read_stream_records
from support.api_gateway import ADMIN, ApiResponse, call, make_caller
from support.call_meter import meter_calls
from support.log_deliveries import make_delivery
from support.prometheus_page import Samples, parse_samples

SLEEP = {"duration_ms": 1}
REQUEST = ("GET", "/health", "2xx")


@pytest.fixture(autouse=True)
def quiet(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process reports no metrics of its own."""
    monkeypatch.setattr(process, "_last_report", time.monotonic())
    notes._pending.clear()
    yield
    notes._pending.clear()


@pytest.fixture
def answer_requests(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Counts requests of these durations in milliseconds."""

    def count_requests(*durations: float, route: str = "GET /health", status: str = "2xx", first: int = 0) -> None:
        capsys.readouterr()
        for duration in durations:
            metrics.note("HttpDuration", duration, route=route, status=status)
            metrics.flush("api")
        lines = capsys.readouterr().out.splitlines()
        importlib.import_module("meter.app").handler(make_delivery(lines, first=first), None)

    return count_requests


def scrape() -> ApiResponse:
    return call("GET", "/metrics")


def now() -> Samples:
    return parse_samples(scrape().text)


def tally() -> None:
    importlib.import_module("tally.app").handler({"Records": read_stream_records(table="jobs")}, None)


# ---- The text ----------------------------------------------------------------------------------------------------


def test_the_page_is_prometheus_text_and_names_every_family_with_help_and_type() -> None:
    answer = scrape()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert [line.split(" ")[2] for line in lines if line.startswith("# HELP ")] == list(FAMILIES)
    assert {line.split(" ")[2]: line.split(" ")[3] for line in lines if line.startswith("# TYPE ")} == {
        name: family.kind.value for name, family in FAMILIES.items()
    }
    assert answer.text.endswith("\n")


def test_a_stack_that_did_nothing_yet_has_zeros_for_metrics_without_labels() -> None:
    assert now() == {
        ("leaseway_dead_letters",): 0,
        **{("leaseway_balance_updates_total", outcome): 0 for outcome in ("granted", "refused", "conflicted")},
    }


def test_whatever_a_worker_is_called_its_name_comes_back() -> None:
    names = ['a"b', "back\\slash", "two\nlines", "\\n", "ключ", "2026/11/23/[$LATEST]0f"]
    text = render({"app_active_tasks_total": {(name,): number for number, name in enumerate(names)}})
    assert parse_samples(text) == {("app_active_tasks_total", name): number for number, name in enumerate(names)}


def test_a_histogram_is_cumulative_and_ends_with_all() -> None:
    counts = [number + 1 for number in range(12)]
    page = parse_samples(render({"http_request_duration_seconds": {REQUEST: Histogram(counts, 12.5)}}))
    name = "http_request_duration_seconds"
    bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    assert [page[f"{name}_bucket", *REQUEST, bound] for bound in bounds] == [
        sum(counts[: place + 1]) for place in range(12)
    ]
    assert (page[f"{name}_sum", *REQUEST], page[f"{name}_count", *REQUEST]) == (12.5, 78)


def test_counters_are_named_as_prometheus_wants_them() -> None:
    # A gauge, although the name, kept for compatibility, ends like a counter's.
    own = {name for name in FAMILIES if name != "app_active_tasks_total"}
    assert {name for name in own if name.endswith("_total")} == {
        name for name in own if FAMILIES[name].kind is MetricKind.COUNTER
    }


# ---- What it says ------------------------------------------------------------------------------------------------


def test_requests_and_their_durations_are_shown_by_method_route_and_status(
    answer_requests: Callable[..., None],
) -> None:
    answer_requests(*[20] * 7, 2_000)
    answer_requests(*[1] * 3, route="POST /api/v1/jobs/{id}/retry", status="4xx", first=100)
    answer_requests(4, route="other", status="4xx", first=200)
    page = now()
    retry = ("POST", "/api/v1/jobs/{id}/retry", "4xx")
    assert {labels[1:]: value for labels, value in page.items() if labels[0] == "http_requests_total"} == {
        REQUEST: 8,
        retry: 3,
        ("other", "other", "4xx"): 1,
    }
    name = "http_request_duration_seconds"
    assert (page[f"{name}_count", *REQUEST], page[f"{name}_sum", *REQUEST]) == (8, 2.14)
    assert [page[f"{name}_bucket", *REQUEST, bound] for bound in ("0.01", "0.025", "1", "2.5", "+Inf")] == [
        0,
        7,
        7,
        8,
        8,
    ]


def test_jobs_are_shown_by_type_and_their_ends_are_never_taken_back() -> None:
    # Given one completed, one failed that is tried again, one cancelled, one dead letter, one that runs
    jobs = [create_job("ann", "SLEEP", SLEEP, Options(max_attempts=1)) for _ in range(5)]
    for job in jobs[:2]:
        lease = claim.claim(job.id, "w1").lease  # type: ignore[union-attr]
        finish.complete(lease, {}) if job is jobs[0] else finish.fail(lease, "no")
    retry_job(jobs[1].id, owner=None)
    cancel_job(jobs[2].id, owner=None, actor="ann")
    assert finish.give_up(jobs[3], "no worker claimed it", dead_lettered=True)
    claim.claim(jobs[4].id, "w2")
    for _ in range(2):
        tally()
    ended = {
        "created": 5, "started": 3, "completed": 1, "failed": 2, "cancelled": 1, "retried": 1,
    }  # fmt: skip
    page = now()
    assert {name: page[f"leaseway_jobs_{name}_total", "SLEEP"] for name in ended} == ended
    there = {labels[1]: count for labels, count in page.items() if labels[0] == "leaseway_jobs" and count}
    assert there == {"COMPLETED": 1, "CREATED": 1, "CANCELLED": 1, "FAILED": 1, "RUNNING": 1}
    assert page["leaseway_dead_letters",] == 1
    # When all of it is removed, then there are no jobs, but what became of them stays
    from leaseway import aws

    for job in jobs:
        aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": job.id}})
    tally()
    gone = now()
    assert {name: gone[f"leaseway_jobs_{name}_total", "SLEEP"] for name in ended} == ended
    assert {count for labels, count in gone.items() if labels[0] in ("leaseway_jobs", "leaseway_dead_letters")} == {0}


def test_a_worker_appears_with_its_first_job_and_goes_with_its_last() -> None:
    def active() -> dict[str, float]:
        return {labels[1]: value for labels, value in now().items() if labels[0] == "app_active_tasks_total"}

    def claim_new(worker: str) -> Any:
        return claim.claim(create_job("ann", "SLEEP", SLEEP).id, worker).lease  # type: ignore[union-attr]

    assert active() == {}
    first = claim_new("w1")
    claim_new("w1")
    assert active() == {"w1": 2}
    claim_new("w2")
    assert active() == {"w1": 2, "w2": 1}
    finish.complete(first, {})
    assert active() == {"w1": 1, "w2": 1}


def test_memory_cpu_and_starts_are_shown_by_function(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    metrics.note("ColdStarts", function="worker")
    metrics.note("CpuUsed", 1_500, function="worker")
    metrics.note("MemoryUsed", 64, function="worker")
    metrics.flush("worker")
    importlib.import_module("meter.app").handler(make_delivery(capsys.readouterr().out.splitlines()), None)
    page = now()
    assert page["process_resident_memory_bytes", "worker"] == 64 * 1024 * 1024
    assert page["process_cpu_seconds_total", "worker"] == 1.5
    assert page["leaseway_cold_starts_total", "worker"] == 1


def test_changes_of_balances_are_shown_by_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    create_account("ann", 5, request_id="r")
    capsys.readouterr()
    for amount in (1, -500, 2):
        try:
            change_balance("ann", amount, request_id=str(amount))
        except InsufficientFundsError:
            continue
    metrics.note("HttpDuration", 1, route="POST /api/users/update-balance", status="2xx")
    metrics.flush("api")
    importlib.import_module("meter.app").handler(make_delivery(capsys.readouterr().out.splitlines()), None)
    page = now()
    assert [page["leaseway_balance_updates_total", each] for each in ("granted", "refused", "conflicted")] == [2, 1, 0]


# ---- Any process answers, and the costs --------------------------------------------------------------------------


def test_every_instance_says_the_same(answer_requests: Callable[..., None]) -> None:
    answer_requests(1, 2, 3)
    create_job("ann", "SLEEP", SLEEP)
    tally()
    first = scrape().text
    # A process that has answered nothing yet, and knows nothing
    notes._pending.clear()
    assert scrape().text == first


def test_a_scrape_reads_the_same_whether_one_request_was_counted_or_many(answer_requests: Callable[..., None]) -> None:
    costs = []
    for number in range(3):
        answer_requests(*[number + 1] * 90, first=number * 1_000)
        with meter_calls() as calls:
            scrape()
        costs.append((calls.count("dynamodb"), calls.read_units(), calls.writes()))
    assert costs[0] == costs[1] == costs[2]
    # Three consistent Queries, and one of each shard of the live index.
    assert costs[0] == (23, 3 + 20 * 0.5, 0)


@pytest.mark.parametrize(
    ("caller", "status"), [(None, 401), (make_caller("ann"), 403), ({**ADMIN, "role": "Worker"}, 200), (ADMIN, 200)]
)
def test_it_is_for_workers_and_admins(caller: Any, status: int) -> None:
    assert call("GET", "/metrics", caller=caller).status == status
