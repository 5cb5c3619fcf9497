"""What the meter function is given where nothing delivers log lines to it: those of a forwarder's step, at once.

The template's subscriptions (parameter `MeterSubscribed`) are for AWS, which gathers lines, delivers again what failed,
and waits where the function is busy. The embedded engine delivers the lines of each invocation by themselves and once,
and starts a process for each delivery that finds none idle: a flood of requests would fill the machine with meters.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.errors import LocalCloudError

_SUBSCRIBED = ('"HttpDuration"', '"MemoryUsed"')
_NAME = "meter"
_LINES = 1_000
"""Lines of one invocation, far below the 6 MB that it takes."""


def subscribed_lines(lines: Sequence[str]) -> list[str]:
    """Those that the template subscribes the meter to: requests, and what other functions tell of their process."""
    return [line for line in lines if any(mark in line for mark in _SUBSCRIBED) and _function(line) != _NAME]


def _function(line: str) -> str:
    try:
        return str(json.loads(line).get("function", ""))
    except (ValueError, AttributeError):
        return ""


class MeterFeed:
    """The meter function of one stack."""

    def __init__(self, clients: Clients, outputs: Outputs) -> None:
        self._clients = clients
        self._outputs = outputs

    def wanted(self) -> bool:
        """Whether there is a meter, and the engine does not deliver to it. One call."""
        if "MeterFunction" not in self._outputs.values:
            return False
        group = f"/aws/lambda/{self._outputs['ApiFunction']}"
        logs = self._clients.get("logs")
        try:
            return not logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        except logs.exceptions.ResourceNotFoundException:
            return True

    def give(self, call: int, lines: Sequence[str]) -> None:
        """Have lines counted. Given again under the same number of the call, they are not counted again.

        Raises:
            LocalCloudError: the function failed.
            ClientError, BotoCoreError: the engine did not answer.
        """
        events = [{"id": f"{call}-{place}", "timestamp": 0, "message": line} for place, line in enumerate(lines)]
        for start in range(0, len(events), _LINES):
            answer = self._clients.get("lambda").invoke(
                FunctionName=self._outputs["MeterFunction"], Payload=_delivery(events[start : start + _LINES])
            )
            if answer.get("FunctionError"):
                raise LocalCloudError(f"the meter failed: {answer['Payload'].read().decode(errors='replace')}")


def _delivery(events: Sequence[dict[str, Any]]) -> bytes:
    """As CloudWatch Logs hands lines to a function."""
    said = {"messageType": "DATA_MESSAGE", "logGroup": "forwarded", "logStream": "forwarded", "logEvents": events}
    return json.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(said).encode())).decode()}}
    ).encode()
