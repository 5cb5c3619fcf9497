"""Every metric that a dashboard or an alarm names is one that the functions write."""

import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leaseway import clock, metrics
from leaseway.accounts import InsufficientFundsError, change_balance
from leaseway.jobs import Options, create_job
from leaseway.jobs.control.control import cancel_job, retry_job
from leaseway.jobs.run import claim, finish
from leaseway.ledger.stream import LedgerMismatchError
from leaseway.metrics import process
from leaseway_local.deployment import template
from support.account_stream import read_stream_records
from support.api_gateway import post
from support.dashboard_lines import read_dashboard_lines
from support.grafana_dashboards import DASHBOARDS, list_targets
from support.metric_lines import collect_points, transfer_in_conflict
from support.template_lookup import find_resources
from worker.run import Run

ROOT = Path(__file__).parents[3]
SLEEP = {"duration_ms": 1}


def invoke(function: str, event: Any = None) -> None:
    module = function if "." in function else f"{function}.app"
    importlib.import_module(module).handler({} if event is None else event, SimpleNamespace())


def balances(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("ann", "ben"):
        post("/api/users", {"userId": user, "balance": 10})
    with pytest.raises(InsufficientFundsError):
        change_balance("ann", -1_000_000, request_id="much")
    transfer_in_conflict()
    invoke("ledger", {"Records": read_stream_records()})
    unexplained = read_stream_records()[0]
    unexplained["dynamodb"]["NewImage"]["last_entry"]["M"]["amount"] = {"N": "6"}
    with pytest.raises(LedgerMismatchError):
        invoke("ledger", {"Records": [unexplained]})
    invoke("ledger.check")


def jobs() -> None:
    start = clock.now_ms() / 1000
    with clock.fixed(lambda: start):
        done, failed, late, lost, dead = (create_job("ann", "SLEEP", SLEEP, Options(max_attempts=1)) for _ in range(5))
        leases = {job.id: claim.claim(job.id, "w").lease for job in (done, failed, late, lost)}  # type: ignore[union-attr]
        cancel_job(lost.id, owner=None, actor="ann")
        finish.complete(leases[done.id], {})
        finish.fail(leases[failed.id], "no")
        retry_job(failed.id, owner=None)
    with clock.fixed(lambda: start + 3_600):
        for job in (late, lost):
            Run(leases[job.id], "receipt", lambda _: None).execute()
    with clock.fixed(lambda: start + 86_400):
        body = json.dumps({"job_id": dead.id, "ttl_ms": 1, "version": dead.version})
        invoke("dead_letter", {"Records": [{"messageId": "a", "body": body}]})
    invoke("tally", {"Records": read_stream_records(table="jobs")})
    invoke("sweeper")
    invoke("scheduler")


def names_in_alarms() -> set[str]:
    """Our metrics that an alarm watches."""
    alarms = [alarm["Properties"] for alarm in find_resources(template.read(), "AWS::CloudWatch::Alarm").values()]
    return {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == metrics.NAMESPACE}


def names_on_dashboards() -> set[str]:
    """Our metrics on the stack's dashboard and on Grafana's."""
    drawn = [(line[0], line[1]) for line in read_dashboard_lines()]
    drawn += [
        (each["namespace"], each["metricName"])
        for name in DASHBOARDS
        for each in list_targets(name)
        if "namespace" in each
    ]
    return {name for namespace, name in drawn if namespace == metrics.NAMESPACE}


def names_in_code() -> set[str]:
    """The metrics that the functions or the layer note by name."""
    modules = [path for folder in ("functions", "layers/core/python") for path in (ROOT / folder).rglob("*.py")]
    return {name for path in modules for name in re.findall(r'\bnote\(\s*"(\w+)"', path.read_text())}


def test_what_dashboards_and_alarms_name_is_written_when_everything_happens(
    cloud: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an environment that begins, and all that can happen in it
    monkeypatch.setattr(process, "_last_report", None)
    balances(monkeypatch)
    jobs()
    metrics.flush("test")
    # When the embedded metrics are read from its log
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    written = {(name, len(by)) for name, *by in collect_points(logged)}
    names = {name for name, _ in written}
    # Then each has every set of the dimensions that the catalogue gives it
    assert written == {(name, len(by)) for name in names for by in metrics.CATALOGUE[name].by}
    # And an alarm watches only what has been written
    assert names_in_alarms() <= names, "an alarm watches a metric that this run does not write: make it happen here"
    # And every other metric is noted somewhere; a test beside its code shows when
    silent = (set(metrics.CATALOGUE) | names_on_dashboards()) - names - names_in_code()
    assert not silent, f"no function notes {sorted(silent)}: call metrics.note, or remove it from the catalogue"
