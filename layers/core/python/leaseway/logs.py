"""Structured logs: one JSON object a line, or plain text for a person at a terminal (`LOG_FORMAT=text`)."""

import logging
import sys
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from leaseway.settings import settings

_HEAD = ("timestamp", "level", "message")
_DULL = {"service", "location", "xray_trace_id", "stack_trace", "exception_name"}


def _as_text(entry: Any) -> str:
    """One line for a person: time, level, message, then `action` and the other facts as name=value."""
    head = " ".join(str(entry.get(name, "")) for name in _HEAD)
    facts = (f"{name}={value}" for name, value in entry.items() if name not in _HEAD and name not in _DULL)
    return " ".join([head, *facts])


def _logger() -> Logger:
    chosen = settings()
    serializer = _as_text if chosen.log_format == "text" else None
    return Logger(
        service="leaseway",
        level=chosen.log_level,
        # A formatter of our own would have to keep the keys that Logger appends; only the last step is ours.
        logger_formatter=LambdaPowertoolsFormatter(utc=True, json_serializer=serializer),
        logger_handler=logging.StreamHandler(sys.stdout),
    )


log = _logger()
"""The process's logger. Call it as `log.info("text", extra={"action": "...", ...})`."""
