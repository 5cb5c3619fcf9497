"""Deployed stacks for tests: an engine on a free port, a stack on it, and calls of its functions."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import LOCAL_REGION, Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sign_in import SignIn
from leaseway_local.deployment.deployer import Deployer
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from leaseway_local.engine.processes import free_port
from leaseway_local.errors import LocalCloudError

PASSWORD = "orbit-lantern-mosaic"
"""Every test user's."""


@dataclass(frozen=True)
class LocalStack:
    """A LocalStack that already runs, with what tests read of an engine of their own."""

    host: str

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])


AnyEngine = DaemonRecord | LocalStack


class FunctionFailedError(AssertionError):
    """An invoked function raised; carries its error document."""


@dataclass(frozen=True)
class DeployedStack:
    """One deployed stack. `outputs["JobsTable"]` and so on are the template's outputs; `outputs.api_url` is the API."""

    name: str
    outputs: Outputs
    api: ApiClient
    """Signed in as the first Admin."""
    clients: Clients
    admin: SignIn

    def as_user(self, name: str) -> ApiClient:
        """Return a client signed in as that User, who is registered at the first use."""
        with self.as_anonymous() as api:
            answer = api.request("POST", "/auth/register", json={"username": name, "password": PASSWORD})
            assert answer.status_code in (201, 409), answer.text
        return ApiClient(self.outputs.api_url, auth=SignIn(self.outputs.api_url, name, PASSWORD))

    def as_anonymous(self, **headers: str) -> ApiClient:
        """Return a client without a token, or with the authorization in `headers`."""
        return ApiClient(self.outputs.api_url, headers=headers)

    def create_jobs(self, bodies: Sequence[Mapping[str, Any]]) -> list[str]:
        """Create the jobs, a hundred a request; returns their ids in order."""
        ids = []
        for first in range(0, len(bodies), 100):
            answer = self.api.post("/api/v1/jobs/batch", {"jobs": bodies[first : first + 100]})
            assert answer["refused"] == 0, answer
            ids += [item["job"]["id"] for item in answer["content"]]
        return ids

    def retire(self) -> None:
        """Remove its functions and all that invokes them: schedules and event source mappings."""
        functions, events = self.client("lambda"), self.client("events")
        for rule in events.list_rules(NamePrefix=f"{self.name}-")["Rules"]:
            events.disable_rule(Name=rule["Name"])
        for page in functions.get_paginator("list_event_source_mappings").paginate():
            for mapping in page["EventSourceMappings"]:
                if f":function:{self.name}-" in mapping["FunctionArn"]:
                    functions.delete_event_source_mapping(UUID=mapping["UUID"])
        for page in functions.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                if function["FunctionName"].startswith(f"{self.name}-"):
                    functions.delete_function(FunctionName=function["FunctionName"])

    def client(self, service: str) -> Any:
        """A boto3 client of the engine. The command line's own refuses answers whose types an engine gets wrong."""
        return _create_client(service, f"http://{self.clients.host}")

    def invoke(self, function: str, payload: Any = None) -> Any:
        """Invoke a function by its output's name, such as `SweeperFunction`, and return its result."""
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs[function], Payload=json.dumps({} if payload is None else payload)
        )
        document = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise FunctionFailedError(f"{function}: {document}")
        return document


@cache
def _create_client(service: str, endpoint_url: str) -> Any:
    session = boto3.Session("test", "test", region_name=LOCAL_REGION)
    # An invocation may last as long as the longest function timeout; a repeated PutMetricData would count twice.
    attempts = 1 if service == "cloudwatch" else 4
    config = Config(
        retries={"total_max_attempts": attempts, "mode": "standard"},
        read_timeout=910,
        max_pool_connections=25,
        s3={"addressing_style": "path"},
    )
    return session.client(service, endpoint_url=endpoint_url, config=config)


StackFactory = Callable[..., DeployedStack]
"""Deploys the stack of that name, overlay and parameters, or returns it if it is deployed."""


def start_engine(home: Home, **variables: str) -> DaemonRecord:
    """Start an engine on a free port; try another port if a program takes that one first."""
    for _ in range(5):
        try:
            return Engine(home).start(free_port(), variables=variables)
        except LocalCloudError as problem:
            if "is taken" not in problem.what:
                raise
    pytest.fail("no free port stayed free")


def deploy(
    engine: AnyEngine,
    home: Home,
    name: str,
    parameters: dict[str, str] | None = None,
    overlay: Path | None = None,
) -> DeployedStack:
    """Deploy a stack to a running engine. Log lines go to the meter only by parameter."""
    parameters = {"MeterSubscribed": "false"} | (parameters or {})
    clients = Clients(Target.LOCALSTACK if isinstance(engine, LocalStack) else Target.LOCAL, engine.host)
    deployment = Deployer(clients, home, name, parameters, overlay).deploy()
    return DeployedStack(
        name,
        deployment.outputs,
        ApiClient(deployment.outputs.api_url, auth=deployment.admin),
        clients,
        deployment.admin,
    )
