"""Deliver log lines to the meter function on an engine without log subscriptions.

The template's subscriptions (parameter `MeterSubscribed`) are for AWS, which batches lines, retries failed deliveries,
and waits if the function is busy. The embedded engine delivers the lines of each invocation separately and once, and
starts a process for each delivery that finds none idle, so many requests would start many processes.
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
"""Lines per invocation, far below the payload limit of 6 MB."""


def select_subscribed(lines: Sequence[str]) -> list[str]:
    """Select the lines that the template subscribes the meter to: requests, and the process metrics of functions."""
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

    def is_needed(self) -> bool:
        """Whether there is a meter to which the engine does not deliver. One call."""
        if "MeterFunction" not in self._outputs.values:
            return False
        group = f"/aws/lambda/{self._outputs['ApiFunction']}"
        logs = self._clients.get("logs")
        try:
            return not logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        except logs.exceptions.ResourceNotFoundException:
            return True

    def deliver(self, call: int, lines: Sequence[str]) -> None:
        """Have lines counted. A repeat with the same `call` number is not counted again.

        Raises:
            LocalCloudError: the function failed.
            ClientError, BotoCoreError: the engine did not answer.
        """
        events = [{"id": f"{call}-{place}", "timestamp": 0, "message": line} for place, line in enumerate(lines)]
        for start in range(0, len(events), _LINES):
            answer = self._clients.get("lambda").invoke(
                FunctionName=self._outputs["MeterFunction"], Payload=_encode_delivery(events[start : start + _LINES])
            )
            if answer.get("FunctionError"):
                raise LocalCloudError(f"the meter failed: {answer['Payload'].read().decode(errors='replace')}")


def _encode_delivery(events: Sequence[dict[str, Any]]) -> bytes:
    """Encode lines as CloudWatch Logs delivers them to a function."""
    delivery = {"messageType": "DATA_MESSAGE", "logGroup": "forwarded", "logStream": "forwarded", "logEvents": events}
    return json.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(delivery).encode())).decode()}}
    ).encode()
