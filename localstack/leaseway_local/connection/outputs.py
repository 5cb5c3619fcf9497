"""A deployment's names and addresses: its API, tables, queues, bucket and functions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import httpx
from botocore.exceptions import ClientError
from msgspec import Meta

from leaseway_local.answer_checks import UnexpectedAnswerError, check_answer
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.engine.paths import DEFAULT_STACK, Home
from leaseway_local.errors import LocalCloudError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient


_LAST_PORT = 65_535
_LONGEST_LABEL = 63  # characters of a part of a host's name


@dataclass(frozen=True)
class Outputs:
    """The outputs of a deployed stack. `values` has the template's names, such as `JobsTable`."""

    target: Target
    stack: str
    region: str
    endpoint_url: str | None
    """Where AWS services answer; None on AWS itself."""
    values: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """The HTTP API's address, without a trailing slash."""
        return self["ApiUrl"]

    def __getitem__(self, name: str) -> str:
        """An output by the template's name.

        Raises:
            LocalCloudError: the deployed stack is of a version without it.
        """
        if name not in self.values:
            raise LocalCloudError(
                f"the stack {self.stack!r} has no output {name!r}.", "Run `leaseway up` or `leaseway deploy`."
            )
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
    """Read a stack's outputs from the target.

    Raises:
        LocalCloudError: there is no such stack, or its first deployment has not finished.
        UnexpectedAnswerError: its API has no address.
    """
    description = describe_stack(clients.get("cloudformation"), stack) or {}
    values = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
    if not {"ApiId", "ApiStage", "ApiUrl"} <= values.keys():
        raise LocalCloudError(
            f"nothing is deployed as {stack!r} on target {clients.target.value}.",
            "Run `leaseway up` or `leaseway deploy`.",
        )
    if clients.local:
        # The address that the template gives exists on AWS only; engines serve an API under their own.
        path = f"/_aws/execute-api/{values['ApiId']}/{values['ApiStage']}"
        values = values | {"ApiUrl": f"{clients.endpoint_url}{path}"}
    _require_address(values["ApiUrl"], stack)
    return Outputs(clients.target, stack, clients.region, clients.endpoint_url, values)


def _require_address(url: str, stack: str) -> None:
    try:
        address = httpx.URL(url)
        labels = address.host.removesuffix(".").split(".")
    except (httpx.InvalidURL, ValueError) as problem:
        raise UnexpectedAnswerError(f"is no address: {url!r} ({problem})", of=f"the ApiUrl of {stack!r}") from problem
    has_host = all(0 < len(label) <= _LONGEST_LABEL for label in labels)
    if address.scheme not in {"http", "https"} or not has_host or (address.port or 0) > _LAST_PORT:
        raise UnexpectedAnswerError(f"is no address: {url!r}", of=f"the ApiUrl of {stack!r}")


def describe_stack(cloudformation: "CloudFormationClient", name: str) -> dict[str, Any] | None:
    """The stack as CloudFormation describes it, or None if there is none."""
    try:
        stacks = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as problem:
        if "does not exist" in str(problem):
            return None
        raise
    live = [stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
    return dict(live[0]) if live else None


class _Environment(TypedDict):
    # What the environment of a process can hold.
    Variables: dict[
        Annotated[str, Meta(pattern=r"\A[^=\x00\ud800-\udfff]+\Z")],
        Annotated[str, Meta(pattern=r"\A[^\x00\ud800-\udfff]*\Z")],
    ]


class _FunctionConfiguration(TypedDict):
    Environment: _Environment


def read_variables(clients: Clients, function: str) -> dict[str, str]:
    """Read the environment variables of a deployed function.

    Raises:
        UnexpectedAnswerError: it has none, or some that no process can have.
    """
    answer = clients.get("lambda").get_function_configuration(FunctionName=function)
    return check_answer(answer, _FunctionConfiguration, of=f"the configuration of {function}")["Environment"][
        "Variables"
    ]


def write(home: Home, outputs: Outputs) -> None:
    """Write the outputs to a file, for programs that do not call CloudFormation; only this user can read it."""
    path = home.outputs(outputs.target.value, outputs.stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps(outputs.as_json(), indent=2) + "\n")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
