"""The meter: lines that functions really write in, counters out, each line once."""

import importlib
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from leaseway import counters as engine
from leaseway import metrics
from leaseway.accounts import create_account
from leaseway.counters import read_scope
from leaseway.metrics import notes, process
from leaseway.prometheus import meter
from leaseway.prometheus.families import BUCKETS
from support.api_gateway import call, post
from support.call_meter import meter_calls
from support.log_deliveries import make_delivery

MakeLines = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def quiet(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process reports no metrics of its own."""
    monkeypatch.setattr(process, "_last_report", time.monotonic())
    notes._pending.clear()
    yield
    notes._pending.clear()


@pytest.fixture
def request_lines(capsys: pytest.CaptureFixture[str]) -> MakeLines:
    """The lines of as many requests as there are durations, in milliseconds."""

    def make_lines(*durations: float, route: str = "GET /health", status: str = "2xx") -> list[str]:
        capsys.readouterr()
        for duration in durations:
            metrics.note("HttpDuration", duration, route=route, status=status)
            metrics.note("HttpErrors", status == "5xx")
            metrics.flush("api")
        return capsys.readouterr().out.splitlines()

    return make_lines


def deliver(*lines: str, **options: Any) -> None:
    importlib.import_module("meter.app").handler(make_delivery(lines, **options), None)


def counters() -> dict[str, dict[str, int]]:
    """What is stored, by item without its copy."""
    values: dict[str, dict[str, int]] = {}
    for item in read_scope(meter.SCOPE, consistent=True):
        name = item["shard"]["S"]
        key = name if name.startswith(meter.MEMORY) else name.rpartition(meter.BETWEEN)[0]
        for attribute, value in item.items():
            if "N" in value:
                values.setdefault(key, {}).setdefault(attribute, 0)
                values[key][attribute] += int(value["N"])
    return values


HEALTH = "http|GET /health|2xx"


def test_requests_are_counted_by_route_and_status_in_the_bucket_of_their_duration(request_lines: MakeLines) -> None:
    deliver(*request_lines(3, 5, 5.001, 70, 30_000), *request_lines(1, status="5xx"), *request_lines(1, route="other"))
    assert counters() == {
        HEALTH: {"le_0.005": 2, "le_0.01": 1, "le_0.1": 1, "le_inf": 1, "us": 30_083_001},
        "http|GET /health|5xx": {"le_0.005": 1, "us": 1_000},
        "http|other|2xx": {"le_0.005": 1, "us": 1_000},
    }


@pytest.mark.parametrize("bound", BUCKETS)
def test_a_bucket_holds_its_own_bound(bound: float) -> None:
    assert meter.bucket(bound) == f"le_{bound}"
    assert meter.bucket(bound * 1.0001) != f"le_{bound}"


def test_a_delivery_that_comes_again_whole_or_in_parts_adds_nothing(request_lines: MakeLines) -> None:
    lines = request_lines(*[1] * 250)
    for _ in range(3):
        deliver(*lines)
    # Sliced again, from where an earlier slice began
    deliver(*lines[100:], first=100)
    deliver(*lines[100:230], first=100)
    assert counters()[HEALTH]["le_0.005"] == 250
    # But what is new of a longer one is counted
    deliver(*lines, *request_lines(1, 1))
    assert counters()[HEALTH]["le_0.005"] == 252


def test_a_delivery_that_failed_half_way_is_completed_by_its_repetition(
    request_lines: MakeLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = request_lines(*[1] * 250)
    real, left = engine.transact_until_settled, iter([True, False])

    def failing(*arguments: Any, **options: Any) -> Any:
        if not next(left):
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "TransactWriteItems")
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "transact_until_settled", failing)
        with pytest.raises(ClientError):
            deliver(*lines)
    assert counters()[HEALTH]["le_0.005"] == 100
    deliver(*lines)
    assert counters()[HEALTH]["le_0.005"] == 250


def test_equal_lines_of_two_streams_both_count(request_lines: MakeLines) -> None:
    (line,) = request_lines(1)
    deliver(line, stream="one", first=1)
    deliver(line, stream="two", first=2)
    assert counters()[HEALTH]["le_0.005"] == 2


def test_counters_only_grow_whatever_is_delivered_in_whatever_order(request_lines: MakeLines) -> None:
    chance = random.Random(4)
    starts = itertools.accumulate([chance.randint(1, 40) for _ in range(30)], initial=0)
    parts = [(start, request_lines(*[chance.uniform(0.1, 20_000) for _ in range(12)])) for start in starts]
    before: dict[str, int] = {}
    for start, lines in chance.sample(parts * 3, len(parts) * 3):
        deliver(*lines, first=start * 1_000)
        now = counters()[HEALTH]
        assert all(now[name] >= count for name, count in before.items())
        before = now
    assert sum(count for name, count in before.items() if name.startswith("le_")) == 30 * 12 + 12


@pytest.mark.parametrize(
    "line",
    ["START RequestId", '{"_aws": 1}', "{", "[]", '{"_aws": {}}', '{"message": "\\"_aws\\": HttpDuration"}',
     '{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Another","Dimensions":[["route","status"]],'
     '"Metrics":[{"Name":"HttpDuration"}]}]},"route":"a","status":"b","HttpDuration":[1]}'],
)  # fmt: skip
def test_what_is_no_metric_of_ours_counts_nothing_and_writes_nothing(line: str) -> None:
    with meter_calls() as calls:
        deliver(line)
    assert calls.count() == 0


def test_a_delivery_that_only_tries_whether_anybody_is_there_is_taken(request_lines: MakeLines) -> None:
    deliver(*request_lines(1), kind="CONTROL_MESSAGE")
    assert counters() == {}


def test_a_balance_update_is_counted_with_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    create_account("ann", 5, request_id="r")
    capsys.readouterr()
    for amount in (1, 2, -500):
        post("/api/users/update-balance", {"userId": "ann", "amount": amount})
    call("GET", "/health")
    deliver(*capsys.readouterr().out.splitlines())
    route = "http|POST /api/users/update-balance"
    values = counters()
    assert (values[f"{route}|2xx"]["BalanceUpdatesGranted"], values[f"{route}|4xx"]["BalanceUpdatesRefused"]) == (2, 1)


def test_memory_is_as_last_reported_and_cpu_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    lines = []
    for at, megabytes, cpu in ((1_000, 90, 20.5), (3_000, 70, 10.25), (2_000, 80, 1)):
        metrics.note("MemoryUsed", megabytes, function="worker")
        metrics.note("CpuUsed", cpu, function="worker")
        metrics.note("ColdStarts", function="worker")
        metrics.flush("worker")
        document = json.loads(capsys.readouterr().out)
        document["_aws"]["Timestamp"] = at
        lines.append(json.dumps(document))
    first, last, late = lines
    for number, line in enumerate((first, last, late, last, first)):
        deliver(line, first=number)
        assert counters()["memory|worker"]["at"] == (1_000 if number == 0 else 3_000)
    deliver(first, last, late, first=100)
    assert counters() == {
        "memory|worker": {"bytes": 70 * 1024 * 1024, "at": 3_000},
        "process|worker": {"ColdStarts": 8, "CpuUsed": 94_250},
    }


def test_the_cost_follows_the_series_of_a_delivery_and_not_its_requests(request_lines: MakeLines) -> None:
    one, hundred = request_lines(1), request_lines(*[1] * 100)
    routes = [line for number in range(8) for line in request_lines(1, route=f"GET /{number}")]
    for lines, first, units in ((one, 0, 4), (hundred, 1_000, 4), (routes, 2_000, 18)):
        with meter_calls() as calls:
            deliver(*lines, first=first)
        assert (calls.count("dynamodb"), calls.write_units(), calls.read_units()) == (1, units, 0)
