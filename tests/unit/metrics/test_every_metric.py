"""Every metric that a dashboard or an alarm names is one that the functions really tell, in one run of everything."""

import importlib
import json
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
from support.account_stream import records
from support.grafana_dashboards import DASHBOARDS, targets
from support.template_lookup import of_type
from unit.api.gateway import post
from unit.infra.test_dashboard import lines
from unit.metrics.test_metrics import SLEEP, points, transfer_overtaken
from worker.run import Run


def handled(function: str, event: Any = None) -> None:
    module = function if "." in function else f"{function}.app"
    importlib.import_module(module).handler({} if event is None else event, SimpleNamespace())


def balances(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("ann", "ben"):
        post("/api/users", {"userId": user, "balance": 10})
    with pytest.raises(InsufficientFundsError):
        change_balance("ann", -1_000_000, request_id="much")
    transfer_overtaken(monkeypatch)
    handled("ledger", {"Records": records()})
    unexplained = records()[0]
    unexplained["dynamodb"]["NewImage"]["last_entry"]["M"]["amount"] = {"N": "6"}
    with pytest.raises(LedgerMismatchError):
        handled("ledger", {"Records": [unexplained]})
    handled("ledger.check")


def jobs() -> None:
    start = clock.now_ms() / 1000
    with clock.fixed(lambda: start):
        done, failed, late, lost, dead = (create_job("ann", "SLEEP", SLEEP, Options(max_attempts=1)) for _ in range(5))
        held = {job.id: claim.claim(job.id, "w").job for job in (done, failed, late, lost)}  # type: ignore[union-attr]
        cancel_job(lost.id, owner=None, actor="ann")
        finish.complete(held[done.id], {})
        finish.fail(held[failed.id], "no")
        retry_job(failed.id, owner=None)
    with clock.fixed(lambda: start + 3_600):
        for job in (late, lost):
            Run(held[job.id], "receipt", lambda: None).execute()
    handled("dead_letter", {"Records": [{"messageId": "a", "body": json.dumps({"job_id": dead.id, "ttl_ms": 1})}]})
    handled("tally", {"Records": records(table="jobs")})
    handled("sweeper")
    handled("scheduler")


def named() -> set[str]:
    """Our metrics on the dashboard, in the alarms, and on Grafana's dashboards."""
    alarms = of_type(template.read(), "AWS::CloudWatch::Alarm").values()
    asked = [(line[0], line[1]) for line in lines()]
    asked += [(alarm["Properties"]["Namespace"], alarm["Properties"]["MetricName"]) for alarm in alarms]
    asked += [
        (each["namespace"], each["metricName"]) for name in DASHBOARDS for each in targets(name) if "namespace" in each
    ]
    return {name for namespace, name in asked if namespace == metrics.NAMESPACE}


def test_whatever_is_named_is_told_when_everything_happens(
    cloud: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an environment that begins, and all that can happen in it
    monkeypatch.setattr(process, "_last_report", None)
    balances(monkeypatch)
    jobs()
    metrics.flush("test")
    # Then it has told every metric, under every set of its dimensions
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    told = {(name, len(by)) for name, *by in points(written)}
    assert told == {(name, len(by)) for name, metric in metrics.CATALOGUE.items() for by in metric.by}
    # And nothing is named besides
    assert named() <= {name for name, _ in told}
