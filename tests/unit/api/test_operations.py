import threading

import pytest

from leaseway import aws, health
from leaseway.settings import require_setting
from support.api_gateway import REQUEST_ID, ApiResponse, call
from support.call_meter import meter_calls
from support.fake_clock import FakeClock


def test_health_answers_without_any_other_part() -> None:
    # Given no table, queue or bucket at all
    # When a client asks whether the API is alive
    answer = call("GET", "/health")
    # Then it says so
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == REQUEST_ID


PARTS = ["accounts", "bucket", "jobs", "queue", "secrets"]


@pytest.fixture
def forget_health(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_found", None)


def deep() -> ApiResponse:
    return call("GET", "/health", query={"deep": ["1"]})


@pytest.mark.usefixtures("forget_health")
def test_deep_health_checks_every_part_and_its_latency() -> None:
    answer = deep()

    assert answer.status == 200
    assert sorted(part["name"] for part in answer.json["parts"]) == PARTS
    assert all(part["ok"] and part["ms"] >= 0 and part["problem"] is None for part in answer.json["parts"])


@pytest.mark.usefixtures("forget_health")
def test_deep_health_is_503_and_names_the_part_that_is_out() -> None:
    aws.client("s3").delete_bucket(Bucket=require_setting("bucket"))

    answer = deep()

    assert (answer.status, answer.json["code"]) == (503, "DEPENDENCY_OUT")
    out = {part["name"]: part["problem"] for part in answer.json["parts"] if not part["ok"]}
    assert out == {"bucket": "404"}
    assert answer.headers["retry-after"]


@pytest.mark.usefixtures("forget_health")
def test_a_part_that_hangs_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(health, "BOUND_SECONDS", 0.5)
    monkeypatch.setattr(health, "_PARTS", {**health._PARTS, "queue": lambda: hanging.wait(30)})

    answer = deep()
    hanging.set()

    assert [part["name"] for part in answer.json["parts"] if not part["ok"]] == ["queue"]


@pytest.mark.usefixtures("forget_health")
def test_many_callers_cost_one_look_in_five_seconds(fake_clock: FakeClock) -> None:
    with meter_calls() as calls:
        for _ in range(20):
            deep()
    assert calls.count() == len(PARTS)
    fake_clock.seconds += 6
    with meter_calls() as calls:
        deep()
    assert calls.count() == len(PARTS)


def test_a_depth_that_is_neither_is_refused() -> None:
    assert call("GET", "/health", query={"deep": ["2"]}).status == 400
