"""The AWS/SQS metrics of the stack's queues, which local engines do not publish."""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import httpx
from msgspec import Meta

from leaseway_local.answer_checks import check_answer
from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs

if TYPE_CHECKING:
    from types_boto3_sqs.literals import QueueAttributeNameType

_ATTRIBUTES: "dict[QueueAttributeNameType, str]" = {
    "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}
# Engine routes that list a queue's messages without receiving them; SQS has no call that returns a message's age.
_LISTINGS = ("/_ministack/sqs/messages", "/_aws/sqs/messages")


class _QueueAnswer(TypedDict):
    Attributes: dict[str, Annotated[str, Meta(pattern="^[0-9]{1,18}$")]]


def read_queue_data(clients: Clients, outputs: Outputs) -> list[dict[str, Any]]:
    """Read the visible, in-flight and delayed messages and the oldest age of each queue. Two calls per queue."""
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
        for name, value, unit in _read_values(clients, url)
    ]


def _read_values(clients: Clients, url: str) -> Iterator[tuple[str, float, str]]:
    answer = clients.get("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_ATTRIBUTES))
    counts = check_answer(answer, _QueueAnswer, of=f"the answer of {url}")["Attributes"]
    for attribute, metric in _ATTRIBUTES.items():
        yield metric, float(counts.get(attribute, 0)), "Count"
    empty = not any(int(counts.get(attribute, 0)) for attribute in _ATTRIBUTES)
    age = 0.0 if empty else _read_oldest_age(clients, url)
    if age is not None:
        yield "ApproximateAgeOfOldestMessage", age, "Seconds"


def _read_oldest_age(clients: Clients, url: str) -> float | None:
    """Seconds since the oldest message was sent; None if the engine does not list messages."""
    for listing in _LISTINGS:
        with contextlib.suppress(httpx.HTTPError, ValueError, RecursionError):
            answer = httpx.get(
                f"{clients.endpoint_url}{listing}", params={"QueueUrl": url}, timeout=10, trust_env=False
            )
            if answer.status_code == 200 and (sent := list(_find_sent_times(answer.json()))):
                return max(0.0, time.time() - min(sent) / 1000)
    return None


def _find_sent_times(node: Any) -> Iterator[int]:
    """Find every `SentTimestamp`, in milliseconds, at any depth."""
    if isinstance(node, dict):
        attributes = node.get("Attributes")
        if isinstance(attributes, dict) and "SentTimestamp" in attributes:
            yield int(str(attributes["SentTimestamp"]))
            return
        for inner in node.values():
            yield from _find_sent_times(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _find_sent_times(inner)
