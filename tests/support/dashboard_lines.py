"""The lines of infra/dashboard.json, and what the namespaces of AWS that it uses have."""

import json
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "infra" / "dashboard.json"
# What AWS, or the monitor in its place, has of these two.
OF_AWS = {
    "AWS/Lambda": ("FunctionName", {"Duration", "Errors", "Throttles", "Invocations"}),
    "AWS/SQS": (
        "QueueName",
        {
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateAgeOfOldestMessage",
        },
    ),
}

Line = list[Any]


def lines() -> list[Line]:
    """Namespace, name, dimensions by name, and options of each line of the dashboard."""
    body = json.loads(SOURCE.read_text())
    found = []
    for widget in body["widgets"]:
        for namespace, name, *dimensions, options in widget["properties"].get("metrics", []):
            pairs = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            found.append([namespace, name, pairs, options])
    return found
