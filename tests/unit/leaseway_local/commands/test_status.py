# ruff: noqa: N803 - boto3 names its arguments like this
"""`leaseway status`: which parts of a deployment it looks at, and when it calls one of them unwell."""

from typing import Any

import pytest

from leaseway_local.commands import status
from leaseway_local.connection.clients import Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import template

TEMPLATE = template.read()
FUNCTIONS = template.function_names(TEMPLATE)


class FakeLambda:
    """Functions that are all active, each with the event sources that the template gives it."""

    def __init__(self) -> None:
        self.mappings = {
            name: [{"State": "Enabled"}] * len(template.event_sources(TEMPLATE, name)) for name in FUNCTIONS
        }

    def get_function_configuration(self, FunctionName: str) -> dict[str, str]:
        return {"State": "Active"}

    def list_event_source_mappings(self, FunctionName: str) -> dict[str, Any]:
        return {"EventSourceMappings": self.mappings[FunctionName]}


class FakeClients:
    def __init__(self, functions: FakeLambda) -> None:
        self.functions = functions
        self.local = True

    def get(self, service: str) -> FakeLambda:
        return self.functions


@pytest.fixture
def functions() -> FakeLambda:
    return FakeLambda()


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, functions: FakeLambda) -> Any:
    values = {"ApiUrl": "http://127.0.0.1:9", "ApiId": "1", **{name: name for name in FUNCTIONS}}
    outputs = Outputs(Target.LOCALSTACK, "leaseway", "us-east-1", "http://127.0.0.1:9", values)

    def run(*, without: str = "") -> dict[str, status.Part]:
        remaining = {name: value for name, value in values.items() if name != without}
        deployed = Outputs(outputs.target, outputs.stack, outputs.region, outputs.endpoint_url, remaining)
        monkeypatch.setattr(status, "Clients", lambda _target: FakeClients(functions))
        monkeypatch.setattr(status, "_read_stack", lambda _clients: status.Part("stack", "create_complete", True))
        monkeypatch.setattr(status.outputs, "fetch", lambda _clients: deployed)
        return {part.name: part for part in status.read_parts(Target.LOCALSTACK)}

    return run


def test_every_function_of_the_template_is_looked_at(report: Any) -> None:
    parts = report()

    assert [name for name in FUNCTIONS if name not in parts] == []
    assert {name: parts[name].state for name in FUNCTIONS} == dict.fromkeys(FUNCTIONS, "active")


def test_a_stopped_event_source_of_the_ledger_is_reported(report: Any, functions: FakeLambda) -> None:
    functions.mappings["LedgerFunction"] = [{"State": "Disabled"}]

    ledger = report()["LedgerFunction"]

    assert not ledger.well
    assert "disabled" in ledger.detail


def test_an_event_source_that_was_never_created_is_reported(report: Any, functions: FakeLambda) -> None:
    functions.mappings["TallyFunction"] = []

    tally = report()["TallyFunction"]

    assert not tally.well
    assert "1 of 1 event sources missing" in tally.detail


def test_a_function_that_was_not_deployed_yet_is_reported(report: Any) -> None:
    assert report(without="LedgerFunction")["LedgerFunction"].state == "missing"
