"""What the API function itself costs: its CPU time over its own AWS calls, and what it imports before it is asked."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from api.app import handler
from api.blueprints import balances
from leaseway.accounts import Account
from leaseway.logs import log
from support.api_gateway import make_event

BUDGET_SECONDS = 0.5e-3
JSON = {"content-type": "application/json"}


def cpu_seconds(action: Callable[[], object], *, batches: int = 7, calls: int = 200) -> float:
    """CPU time of one call: the best batch, because a busy machine only ever adds."""

    def batch() -> float:
        started = time.process_time()
        for _ in range(calls):
            action()
        return (time.process_time() - started) / calls

    return min(batch() for _ in range(batches))


def test_a_balance_update_costs_at_most_half_a_millisecond_over_its_aws_call(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a table that answers at once, and a log line for each request
    monkeypatch.setattr(balances, "change_balance", lambda *_, **__: Account("1", 100, 2, 0, 0, "r"))
    (stream,) = log.handlers
    before = stream.setStream(io.StringIO())
    update = make_event("POST", "/api/users/update-balance", body='{"userId": 1, "amount": -2}', headers=JSON)
    # When updates arrive
    cost = cpu_seconds(lambda: handler(update, None))
    stream.setStream(before)
    # Then routing, parsing, answering and logging stay within the budget
    assert cost <= BUDGET_SECONDS


def test_documents_are_paid_for_only_when_asked() -> None:
    # Given a fresh process
    program = "import sys, api.app; api.app.blueprints.whole_app(); print(*sorted(sys.modules))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    # When the function's module and every blueprint are imported
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    loaded = set(run.stdout.split())
    # Then neither the executors, Swagger UI, the generator nor Chalice's own tools came with it
    assert not {name for name in loaded if name.startswith(("worker", "flask", "chalice.cli", "yaml", "PIL", "boto3"))}
    assert not {"openapi_document", "jsonschema"} & loaded
