"""The lines of infra/dashboard.json, and what the namespaces of AWS that it uses have."""

import json
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "infra" / "dashboard.json"
# What AWS, or the monitor in its place, has of these two.
AWS_METRICS = {
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


def read_dashboard_lines() -> list[Line]:
    """Read namespace, name, dimensions by name, and options of each line of the dashboard."""
    body = json.loads(SOURCE.read_text())
    lines = []
    for widget in body["widgets"]:
        for namespace, name, *dimensions, options in widget["properties"].get("metrics", []):
            pairs = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            lines.append([namespace, name, pairs, options])
    return lines
