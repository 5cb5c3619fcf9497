"""Log lines of deployed functions."""

import json
from collections.abc import Callable
from typing import Any


def read_log_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    """Read the function's log lines except its metrics, oldest first."""
    return [line for line in _read_json_lines(client, function) if "_aws" not in line]


def read_metric_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    """Read the function's embedded-metric lines, oldest first."""
    return [line for line in _read_json_lines(client, function) if "_aws" in line]


def _read_json_lines(client: Callable[[str], Any], function: str) -> list[dict[str, Any]]:
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
    lines = []
    for page in pages:
        for event in page["events"]:
            for text in event["message"].splitlines():
                if text.startswith("{"):
                    lines.append(json.loads(text))
    return lines
