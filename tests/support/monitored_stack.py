"""A stack in an engine of its own with its monitor: its metrics and the states of its alarms."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import DEFAULT_STACK, Home
from leaseway_local.engine.processes import free_port
from leaseway_local.monitoring.alarm_states import evaluate
from leaseway_local.monitoring.monitor import Monitor
from support.deployed_stacks import DeployedStack, deploy, start_engine
from support.prometheus_page import Samples, parse_samples
from support.waiting import wait_until

HOUR = 3_600
RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"

# No schedule interferes: a test that needs a sweep or a tick invokes it. The thresholds are short, to be passed.
PARAMETERS = {
    "SweeperEnabled": "false",
    "SchedulerEnabled": "false",
    "LedgerCheckEnabled": "false",
    "AlarmAgeSeconds": "3",
    "AlarmLagMs": "1000",
    "AlarmLedgerLagMs": "1000",
    "AlarmStreamLagMs": "1000",
    "AlarmFailurePeriods": "1",
    "MaxReceiveCount": "1",
    "DeadLetterSeconds": "1",
}


class MonitoredStack:
    """The stack, its engine and its monitor."""

    def __init__(self, home: Home, **parameters: str) -> None:
        self.home = home
        self.engine = Engine(home)
        self.stack: DeployedStack = deploy(start_engine(home), home, DEFAULT_STACK, PARAMETERS | parameters)
        self.tasks: dict[str, str] = {}
        self.monitor = Monitor(home)
        self.record: DaemonRecord = self.monitor.start(free_port())
        self.wait_for_value(1, "LedgerEntries")  # the first account's

    def stop(self) -> None:
        self.monitor.stop()
        self.engine.stop()

    def value(self, name: str, stat: str = "Sum", *, namespace: str = "Leaseway", **dimensions: str) -> float:
        """Read a statistic of a metric over the last hour; 0 if there is no value."""
        by = dimensions if namespace != "Leaseway" else {"service": DEFAULT_STACK, **dimensions}
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
        return max(values, default=0) if stat.startswith(("p", "M")) else sum(values)

    def wait_for_value(self, expected: float, name: str, stat: str = "Sum", **dimensions: str) -> None:
        """Wait until a statistic of a metric of ours is exactly `expected`."""
        seen: list[float] = []

        def there() -> bool:
            seen.append(self.value(name, stat, **dimensions))
            return seen[-1] == expected

        try:
            wait_until(there, seconds=60, what=f"{name} to be {expected}", every=0.3)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {seen[-1]}") from None

    def send_requests(self, count: int) -> None:
        """Send that many requests for /health, all of which succeed."""
        url = f"{self.stack.outputs.api_url}/health"
        with ThreadPoolExecutor(3) as pool:
            codes = list(pool.map(lambda _: httpx.get(url, timeout=60).status_code, range(count)))
        assert codes == [200] * count

    def count_answered_requests(self) -> float:
        """Count the requests for /health that CloudWatch has."""
        return self.value("HttpDuration", "SampleCount", route="GET /health", status="2xx")

    def read_page(self) -> Samples:
        """Read the samples of GET /metrics."""
        answer = self.stack.api.request("GET", "/metrics")
        assert answer.status_code == 200, answer.text
        return parse_samples(answer.text)

    def count_requests_on_page(self) -> float:
        """Count the requests for /health that GET /metrics has."""
        return self.read_page().get(("http_requests_total", "GET", "/health", "2xx"), 0)

    def describe_alarm(self, name: str) -> dict[str, Any]:
        """Describe an alarm as the engine does."""
        answer = self.stack.client("cloudwatch").describe_alarms(AlarmNames=[f"{DEFAULT_STACK}-{name}"])
        (alarm,) = answer["MetricAlarms"]
        return dict(alarm)

    def read_alarm_state(self, name: str) -> str:
        """Return an alarm's state: the engine's if the runbook says that it evaluates it, else by the data."""
        alarm = self.describe_alarm(name)
        own = re.search(rf"^\| {name} \| .+ \| yes \|$", RUNBOOK.read_text(), re.MULTILINE)
        return str(alarm["StateValue"]) if own else evaluate(self.stack.client("cloudwatch"), alarm)

    def wait_for_alarm(self, name: str) -> None:
        """Wait until an alarm is in ALARM."""
        wait_until(lambda: self.read_alarm_state(name) == "ALARM", seconds=60, what=f"the alarm {name}", every=0.3)

    @contextmanager
    def pause_mappings(self, function: str) -> Iterator[None]:
        """Disable the event source mappings of a function, such as `WorkerFunction`, while the block runs."""
        self._switch(function, enabled=False)
        yield
        self._switch(function, enabled=True)

    def _switch(self, function: str, *, enabled: bool) -> None:
        functions = self.stack.client("lambda")
        name = self.stack.outputs[function]
        for mapping in functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)
