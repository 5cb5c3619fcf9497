"""An engine and stacks for the integration tests: on a free port, in a folder of their own, beside any running cloud.

    def test_something(stack):                       # the stack that all tests share
        stack.api.post("/api/users", {"userId": "7", "balance": 5})

    def test_quick(make_stack):                      # another stack in the same engine, with other parameters
        stack = make_stack("quick", LeaseSeconds=3, SweeperEnabled=False)
        stack.invoke("SweeperFunction")

Stacks live as long as the session; one name and its parameters are deployed once.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leaseway_local.api_client import ApiClient
from leaseway_local.clients import Clients, Target
from leaseway_local.deployer import Deployer
from leaseway_local.engine import Engine, EngineRecord
from leaseway_local.errors import LocalCloudError
from leaseway_local.outputs import Outputs
from leaseway_local.places import Home
from leaseway_local.processes import free_port


class FunctionFailedError(AssertionError):
    """An invoked function raised; carries its error document."""


@dataclass(frozen=True)
class DeployedStack:
    """One deployed stack. `outputs["JobsTable"]` and so on are the template's outputs; `outputs.api_url` is the API."""

    name: str
    outputs: Outputs
    api: ApiClient
    clients: Clients

    def client(self, service: str) -> Any:
        """A boto3 client of the engine, made by localstack-client."""
        return self.clients.get(service)

    def invoke(self, function: str, payload: Any = None) -> Any:
        """Invoke a function by its output's name, such as `SweeperFunction`, and return what it answered."""
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs[function], Payload=json.dumps({} if payload is None else payload)
        )
        document = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise FunctionFailedError(f"{function}: {document}")
        return document


def start_engine(home: Home) -> EngineRecord:
    """Start an engine on a port that is free, asking anew when another program was quicker."""
    for _ in range(5):
        try:
            return Engine(home).start(free_port())
        except LocalCloudError as problem:
            if "is taken" not in problem.what:
                raise
    pytest.fail("no free port stayed free")


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Home:
    """The folder of the session's engine."""
    return Home(tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="session")
def engine(home):
    """The session's engine, as its process record."""
    record = start_engine(home)
    yield record
    Engine(home).stop()
    assert not Engine(home).functions(), "the engine left functions running"


@pytest.fixture(scope="session")
def make_stack(engine, home):
    """Deploys a stack: `make_stack(name, overlay=folder with more functions code, **template parameters)`."""
    deployed: dict[tuple, DeployedStack] = {}

    def make(name: str, *, overlay: Path | None = None, **parameters: Any) -> DeployedStack:
        given = {key: _as_parameter(value) for key, value in parameters.items()}
        wanted = (name, overlay, tuple(sorted(given.items())))
        if wanted not in deployed:
            clients = Clients(Target.LOCAL, engine.host)
            full_name = f"leaseway-{name}"
            result = Deployer(clients, home, full_name, given, overlay).deploy().outputs
            deployed[wanted] = DeployedStack(full_name, result, ApiClient(result.api_url), clients)
        return deployed[wanted]

    yield make
    for stack in deployed.values():
        stack.api.close()


@pytest.fixture(scope="session")
def stack(make_stack) -> DeployedStack:
    """The stack that tests share; each test uses accounts and jobs of its own."""
    return make_stack("shared")


def _as_parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
