"""Structured logs: one JSON object a line, or plain text for a person at a terminal (`LOG_FORMAT=text`)."""

import logging
import sys
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from leaseway.settings import settings

_TEXT = "%(asctime)s %(levelname)s %(message)s"


class _TextFormatter(logging.Formatter):
    """`action` and the other facts follow the message as name=value."""

    _standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in vars(record).items() if name not in self._standard}
        return " ".join([super().format(record), *(f"{name}={value}" for name, value in facts.items())])


def _logger() -> Logger:
    chosen = settings()
    formatter: Any = _TextFormatter(_TEXT) if chosen.log_format == "text" else LambdaPowertoolsFormatter(utc=True)
    return Logger(
        service="leaseway",
        level=chosen.log_level,
        logger_formatter=formatter,
        logger_handler=logging.StreamHandler(sys.stdout),
    )


log = _logger()
"""The process's logger. Call it as `log.info("text", extra={"action": "...", ...})`."""
