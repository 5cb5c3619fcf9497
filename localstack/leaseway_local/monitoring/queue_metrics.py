"""AWS/SQS, as AWS would tell it of the stack's queues and local engines do not."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httpx

from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs

_ATTRIBUTES = {
    "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}
# Where an engine lists a queue's messages without receiving them; SQS itself never tells a message's age.
_LISTINGS = ("/_ministack/sqs/messages", "/_aws/sqs/messages")


def queue_data(clients: Clients, outputs: Outputs) -> list[dict[str, Any]]:
    """Depth, messages in flight, delayed, and age of each queue now. Two calls a queue."""
    now = int(time.time())
    return [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
            "Timestamp": now,
            "Value": value,
            "Unit": unit,
        }
        for output, url in outputs.values.items()
        if output.endswith("QueueUrl")
        for name, value, unit in _values(clients, url)
    ]


def _values(clients: Clients, url: str) -> Iterator[tuple[str, float, str]]:
    held = clients.get("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_ATTRIBUTES))["Attributes"]
    for attribute, metric in _ATTRIBUTES.items():
        yield metric, float(held.get(attribute, 0)), "Count"
    empty = not any(int(held.get(attribute, 0)) for attribute in _ATTRIBUTES)
    age = 0.0 if empty else _oldest_age(clients, url)
    if age is not None:
        yield "ApproximateAgeOfOldestMessage", age, "Seconds"


def _oldest_age(clients: Clients, url: str) -> float | None:
    """Seconds since the oldest message was sent; None where the engine does not tell."""
    for listing in _LISTINGS:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(
                f"{clients.endpoint_url}{listing}", params={"QueueUrl": url}, timeout=10, trust_env=False
            )
            if answer.status_code == 200 and (sent := list(_sent(answer.json()))):
                return max(0.0, time.time() - min(sent) / 1000)
    return None


def _sent(node: Any) -> Iterator[int]:
    """Every `SentTimestamp` in milliseconds, wherever the engine puts it."""
    if isinstance(node, dict):
        if "Attributes" in node and "SentTimestamp" in (node["Attributes"] or {}):
            yield int(node["Attributes"]["SentTimestamp"])
            return
        for inner in node.values():
            yield from _sent(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _sent(inner)
