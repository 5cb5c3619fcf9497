"""A deployment's names and addresses: where its API is, what its tables, queues, bucket and functions are called."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from leaseway_local.connection.clients import Clients, Target
from leaseway_local.deployment.stacks import Stack
from leaseway_local.engine.places import DEFAULT_STACK, Home
from leaseway_local.errors import LocalCloudError


@dataclass(frozen=True)
class Outputs:
    """What a deployed stack says of itself. `values` has the template's own names, such as `JobsTable`."""

    target: Target
    stack: str
    region: str
    endpoint_url: str | None
    """Where AWS services answer; None on AWS itself."""
    values: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """The HTTP API's address, without a slash at its end."""
        return self.values["ApiUrl"]

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def as_json(self) -> dict[str, str | None]:
        """What `leaseway outputs --json` prints: snake_case names."""
        named = {_snake(name): value for name, value in self.values.items()}
        return {
            "target": self.target.value,
            "stack": self.stack,
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            **named,
        }


def fetch(clients: Clients, stack: str = DEFAULT_STACK) -> Outputs:
    """Ask the target for a stack's outputs.

    Raises:
        LocalCloudError: there is no such stack, or it was not deployed to its end.
    """
    values = Stack(clients.get("cloudformation"), stack, poll=1).outputs()
    if "ApiId" not in values:
        raise LocalCloudError(
            f"nothing is deployed as {stack!r} on target {clients.target.value}.",
            "Run `leaseway up` or `leaseway deploy`.",
        )
    if clients.local:
        # The address that the template gives exists on AWS only; engines serve an API under their own.
        path = f"/_aws/execute-api/{values['ApiId']}/{values['ApiStage']}"
        values = values | {"ApiUrl": f"{clients.endpoint_url}{path}"}
    return Outputs(clients.target, stack, clients.region, clients.endpoint_url, values)


def write(home: Home, outputs: Outputs) -> None:
    """Keep the outputs for programs that do not ask CloudFormation; readable by this user only."""
    path = home.outputs(outputs.target.value, outputs.stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps(outputs.as_json(), indent=2) + "\n")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
