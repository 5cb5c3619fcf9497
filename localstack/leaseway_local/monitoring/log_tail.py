"""Read log lines of the functions from CloudWatch Logs, on any target."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from leaseway_local.connection.outputs import Outputs
from leaseway_local.engine.paths import Home
from leaseway_local.errors import LocalCloudError

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_logs.type_defs import FilteredLogEventTypeDef

METRICS = '{"_aws":'
"""The beginning of an embedded-metric line, which is for CloudWatch and not for people."""

_PAUSE = 1.0  # seconds between two reads while following
_LATE_MS = 5_000  # a line may become readable some time after its timestamp


@dataclass(frozen=True)
class Line:
    """One line of one function. `at` is in milliseconds since the epoch."""

    at: int
    function: str
    message: str

    def as_text(self) -> str:
        """The line as text, in local time."""
        try:
            moment = datetime.fromtimestamp(self.at / 1000, UTC).astimezone()
        except (ValueError, OverflowError, OSError):  # no year of the calendar
            return f"{self.at} {self.function:<12} {self.message}"
        return f"{moment:%H:%M:%S.%f}"[:-3] + f" {self.function:<12} {self.message}"

    def as_json(self) -> dict[str, Any]:
        """The line for JSON output."""
        return {"at": self.at, "function": self.function, "message": self.message}


def find_groups(outputs: Outputs, function: str | None) -> Mapping[str, str]:
    """Find the log groups, by the functions' short names; only that of `function` if given.

    Raises:
        LocalCloudError: there is no such function.
    """
    known = {
        re.sub(r"(?<!^)(?=[A-Z])", "-", name.removesuffix("Function")).lower(): f"/aws/lambda/{value}"
        for name, value in outputs.values.items()
        if name.endswith("Function")
    }
    if function is None:
        return known
    short_name = re.sub(r"(?<!^)(?=[A-Z])", "-", function.removesuffix("Function")).replace("_", "-").lower()
    if short_name not in known:
        raise LocalCloudError(f"there is no function {function!r}.", f"There are {', '.join(known)}, and `engine`.")
    return {short_name: known[short_name]}


def read_lines(
    logs: "CloudWatchLogsClient", groups: Mapping[str, str], *, minutes: float, follow: bool
) -> Iterator[Line]:
    """Read the lines of the groups in order of time, without metrics; endless if following."""
    since = int((time.time() - minutes * 60) * 1000)
    seen: set[str] = set()
    while True:
        fresh = [
            (event, name)
            for name, group in groups.items()
            for event in _events(logs, group, since)
            if _identity(event) not in seen and not event["message"].startswith(METRICS)
        ]
        for event, name in sorted(fresh, key=lambda pair: pair[0]["timestamp"]):
            yield Line(event["timestamp"], name, event["message"].rstrip())
        if not follow:
            return
        seen |= {_identity(event) for event, _ in fresh}
        since = max(since, int(time.time() * 1000) - _LATE_MS)
        time.sleep(_PAUSE)


def _identity(event: "FilteredLogEventTypeDef") -> str:
    # MiniStack gives no event ids.
    return str(event.get("eventId") or (event["logStreamName"], event["timestamp"], event["message"]))


def read_engine_log(home: Home) -> str:
    """Read the output of the local engine itself."""
    if not home.log.exists():
        raise LocalCloudError("the engine has written no log.", "`leaseway up` starts it.")
    return home.log.read_text(errors="replace").rstrip()


def _events(logs: "CloudWatchLogsClient", group: str, since: int) -> "Iterator[FilteredLogEventTypeDef]":
    try:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since):
            yield from page.get("events", [])
    except logs.exceptions.ResourceNotFoundException:
        return  # a function that never ran has no log
