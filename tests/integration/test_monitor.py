"""The monitor on an engine and a stack of its own: the functions' metrics arrive, whatever is killed meanwhile."""

import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployed import DeployedStack, deploy, start_engine
from leaseway_local.engine import Engine
from leaseway_local.monitor import Monitor, MonitorRecord
from leaseway_local.places import Home
from leaseway_local.processes import free_port
from observe import metric_lines, until

HOUR = 3_600
ROOT = Path(__file__).parents[2]


class Watched:
    """A stack in an engine of its own, and its monitor."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.engine = Engine(home)
        self.stack: DeployedStack = deploy(start_engine(home), home, "leaseway", {})
        self.monitor = Monitor(home)
        self.record: MonitorRecord = self.monitor.start(free_port())

    def value(self, name: str, stat: str = "Sum", *, namespace: str = "Leaseway", **dimensions: str) -> float:
        """A statistic of a metric over the last hour; 0 where there is nothing."""
        by = dimensions if namespace != "Leaseway" else {"service": "leaseway", **dimensions}
        metric = {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": each, "Value": value} for each, value in by.items()],
        }
        query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 24 * HOUR, "Stat": stat}}
        now = time.time()
        answer = self.stack.client("cloudwatch").get_metric_data(
            MetricDataQueries=[query], StartTime=now - HOUR, EndTime=now + HOUR
        )
        values = answer["MetricDataResults"][0]["Values"]
        return max(values) if stat.startswith(("p", "M")) else sum(values)

    def becomes(self, wanted: float, name: str, stat: str = "Sum", **dimensions: str) -> None:
        seen: list[float] = []

        def there() -> bool:
            seen.append(self.value(name, stat, **dimensions))
            return seen[-1] == wanted

        try:
            until(there, seconds=30, what=f"{name} to be {wanted}", every=0.3)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {seen[-1]}") from None

    def requests(self, count: int) -> None:
        """So many answered requests."""
        url = f"{self.stack.outputs.api_url}/health"
        with ThreadPoolExecutor(3) as pool:
            codes = list(pool.map(lambda _: httpx.get(url, timeout=60).status_code, range(count)))
        assert codes == [200] * count

    def answered(self) -> float:
        return self.value("HttpDuration", "SampleCount", route="GET /health", status="2xx")

    def stop(self) -> None:
        self.monitor.stop()
        self.engine.stop()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(Home(tmp_path_factory.mktemp("watched")))
    made.becomes(1, "LedgerEntries")  # the first account's
    yield made
    made.stop()


def test_what_functions_tell_is_what_cloudwatch_has(watched: Watched) -> None:
    # Given work of every kind
    api = watched.stack.api
    user = f"u{secrets.token_hex(4)}"
    before = {name: watched.value(name) for name in ("JobsCompleted", "BalanceUpdatesRefused", "LedgerEntries")}
    api.post("/api/users", {"userId": user, "balance": 10})
    for amount in (5, -3, -500):
        api.request("POST", "/api/users/update-balance", json={"userId": user, "amount": amount})
    for _ in range(3):
        api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 20}})
    # Then the sums are those of what was done
    watched.becomes(before["JobsCompleted"] + 3, "JobsCompleted")
    watched.becomes(before["BalanceUpdatesRefused"] + 1, "BalanceUpdatesRefused")
    watched.becomes(before["LedgerEntries"] + 3, "LedgerEntries")
    watched.becomes(3, "JobsCompleted", type="SLEEP")
    watched.becomes(3, "JobRun", "SampleCount", type="SLEEP")
    assert watched.value("JobRun", "p50", type="SLEEP") >= 20
    # And of each line that a function wrote, all that it said
    watched.becomes(len(metric_lines(watched.stack.client, "leaseway-ledger")), "LedgerLag", "SampleCount")


def test_queues_and_streams_are_told_as_aws_would(watched: Watched) -> None:
    until(
        lambda: (
            watched.value(
                "ApproximateAgeOfOldestMessage",
                "SampleCount",
                namespace="AWS/SQS",
                QueueName=_queue(watched, "JobsQueueUrl"),
            )
            > 0
        ),
        seconds=30,
        what="the age of the jobs queue",
    )
    name = watched.stack.outputs["LedgerFunction"]
    until(
        lambda: watched.value("IteratorAge", "SampleCount", namespace="AWS/Lambda", FunctionName=name) > 0,
        seconds=30,
        what="the age of the ledger's stream",
    )


def _queue(watched: Watched, output: str) -> str:
    return watched.stack.outputs[output].rpartition("/")[2]


def test_killing_forwarder_and_engine_in_turn_loses_little_and_doubles_nothing(watched: Watched) -> None:
    # Given requests that are counted
    start = watched.answered()
    watched.requests(20)
    until(lambda: watched.answered() == start + 20, seconds=30, what="the first 20")
    # When the forwarder is killed while requests go on, and started again
    os.kill(watched.record.pid, signal.SIGKILL)
    watched.requests(20)
    watched.record = watched.monitor.start(watched.record.port)
    # Then none is lost and none counted twice
    until(lambda: watched.answered() == start + 40, seconds=30, what="40 after the forwarder's death")
    # When the engine is killed, which brings its own metrics back to their last save, and started again
    port = watched.engine.running().port  # type: ignore[union-attr]
    watched.engine.stop()
    watched.engine.start(port)
    watched.requests(10)
    until(lambda: watched.answered() >= start + 50, seconds=60, what="50 after the engine's stop")
    os.kill(watched.engine.running().pid, signal.SIGKILL)  # type: ignore[union-attr]
    until(lambda: watched.engine.running() is None, seconds=10, what="the engine's death")
    watched.engine.start(port)
    watched.requests(10)
    # Then what was forwarded is there again, once
    until(lambda: watched.answered() >= start + 60, seconds=60, what="60 after the engine's death")
    time.sleep(3)  # nothing more may come
    assert watched.answered() == start + 60


def test_the_page_answers_this_machine_only_and_brings_every_widgets_data(watched: Watched) -> None:
    url = watched.record.url
    page = httpx.get(url)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert httpx.get(url, headers={"host": "evil.example:80"}).status_code == 403
    assert httpx.get(f"{url}/data?minutes=x").status_code == 503
    data: dict[str, Any] = httpx.get(f"{url}/data?minutes=60", timeout=30).json()
    declared = json.loads((ROOT / "infra" / "dashboard.json").read_text())["widgets"]
    titles = [widget["properties"].get("title") for widget in declared]
    assert [widget.get("title") for widget in data["widgets"]] == titles
    (requests,) = [widget for widget in data["widgets"] if widget.get("title") == "Requests"]
    assert sum(requests["lines"][0]["values"]) == watched.value("HttpDuration", "SampleCount")
