"""What Grafana and its Prometheus are provisioned with, before Debian's Prometheus."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from leaseway_local.commands.prometheus import configuration
from prometheus.prometheus_server import Prometheus, find_binary
from support.deployed_stacks import DeployedStack
from support.grafana_dashboards import list_expressions
from support.waiting import wait_until

FAILING = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
# Nothing fails so while nothing is wrong.
UNHEARD = {'rate(http_requests_total{status="5xx"}[1m])'}


@pytest.fixture(scope="module")
def at_work(meter_stack: DeployedStack) -> Iterator[DeployedStack]:
    """The stack after work of every kind; a job runs, and one waits, until the tests are done."""
    api = meter_stack.api
    api.post("/api/users", {"userId": "grafana", "balance": 5})
    api.post("/api/users/update-balance", {"userId": "grafana", "amount": 1})
    quick = api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"]
    failed = api.post("/api/v1/jobs", FAILING)["id"]
    for job, status in ((quick, "COMPLETED"), (failed, "FAILED")):
        wait_until(
            lambda job=job, status=status: _status(meter_stack, job) == status, seconds=90, what=f"{job} {status}"
        )
    api.post(f"/api/v1/jobs/{failed}/retry", None)
    running, waiting = (
        api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 600_000}, "ttl_ms": 700_000, **later})
        for later in ({}, {"delay_seconds": 900})
    )
    wait_until(lambda: _status(meter_stack, running["id"]) == "RUNNING", seconds=90, what="the running job")
    gone = api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 1}, "delay_seconds": 900})["id"]
    api.post(f"/api/v1/jobs/{gone}/cancel", None)
    yield meter_stack
    for job in (running, waiting):
        api.request("POST", f"/api/v1/jobs/{job['id']}/cancel", json=None)


def _status(stack: DeployedStack, job: str) -> str:
    return str(stack.api.get(f"/api/v1/jobs/{job}")["status"])


@pytest.mark.parametrize("expression", list_expressions())
def test_prometheus_answers_every_expression_of_grafana(
    at_work: DeployedStack, prometheus: Prometheus, expression: str
) -> None:
    assert (
        prometheus.query(expression) == {}
        if expression in UNHEARD
        else wait_until(lambda: prometheus.query(expression), seconds=90, what=f"an answer to {expression}", every=0.5)
    )


def test_promtool_accepts_the_configuration_that_leaseway_prints(tmp_path: Path) -> None:
    written = tmp_path / "prometheus.yaml"
    written.write_text(yaml.safe_dump(configuration("https://id.example/live", "prometheus-1", "pass: 'word' #")))
    done = subprocess.run(
        [find_binary("promtool"), "check", "config", written], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is valid prometheus config" in done.stdout) == (0, True), done.stdout + done.stderr
