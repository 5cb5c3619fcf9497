"""Structured logs: one JSON object per line, or plain text for a person at a terminal (`LOG_FORMAT=text`)."""

import json
import logging
import sys
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from leaseway.canonical import escape_surrogates
from leaseway.settings import settings

_HEAD = ("timestamp", "level", "message")
_OMITTED_FROM_TEXT = {"service", "location", "xray_trace_id", "stack_trace", "exception_name"}


def _as_text(entry: Any) -> str:
    """One line for a person: time, level, message, then `action` and the other facts as name=value."""
    head = " ".join(str(entry.get(name, "")) for name in _HEAD)
    facts = (f"{name}={value}" for name, value in entry.items() if name not in _HEAD and name not in _OMITTED_FROM_TEXT)
    return escape_surrogates(" ".join([head, *facts]))


def _as_json(entry: Any) -> str:
    """One line of JSON. Half a surrogate pair, which no stream of UTF-8 takes, is written as `\\ud800`."""
    return escape_surrogates(json.dumps(entry, default=str, separators=(",", ":"), ensure_ascii=False))


def _logger() -> Logger:
    serializer = _as_text if settings().log_format == "text" else _as_json
    return Logger(
        service="leaseway",
        level=settings().log_level,
        # A formatter of our own would have to keep the keys that Logger appends; only the last step is ours.
        logger_formatter=LambdaPowertoolsFormatter(utc=True, json_serializer=serializer),
        logger_handler=logging.StreamHandler(sys.stdout),
    )


log = _logger()
"""The process's logger. Call it as `log.info("text", extra={"action": "...", ...})`."""
