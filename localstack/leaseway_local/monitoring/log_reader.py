"""Read the new lines of the functions' logs, each once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_logs.type_defs import FilteredLogEventTypeDef

OVERLAP_MS = 2_000
"""A line may become readable some time after its timestamp: this much is read again, and known lines are skipped."""


@dataclass(frozen=True)
class Position:
    """How far a log has been read: everything before `since` (ms), and the lines in `seen` after it."""

    since: int
    seen: Mapping[str, int] = field(default_factory=dict)
    """Number of occurrences of each line, by its hash."""


def read(
    logs: "CloudWatchLogsClient", groups: Iterable[str], position: Position, pattern: str
) -> tuple[list[str], Position]:
    """Read the messages since `position` that match the filter pattern. Returns them and the position after them."""
    events, after = read_events(logs, groups, position, pattern)
    return [event["message"] for event in events], after


def read_events(
    logs: "CloudWatchLogsClient", groups: Iterable[str], position: Position, pattern: str
) -> "tuple[list[FilteredLogEventTypeDef], Position]":
    """Like `read`, but with whole events, which have `logStreamName` and `timestamp`."""
    present: Counter[str] = Counter()
    fresh: list[FilteredLogEventTypeDef] = []
    times: dict[str, int] = {}
    for event, group in _events(logs, groups, position.since, pattern):
        name = _identity(event, group)
        present[name] += 1
        times[name] = event["timestamp"]
        if present[name] > position.seen.get(name, 0):
            fresh.append(event)
    since = max([position.since, *(time - OVERLAP_MS for time in times.values())])
    return fresh, Position(since, {name: count for name, count in present.items() if times[name] >= since})


def _events(
    logs: "CloudWatchLogsClient", groups: Iterable[str], since: int, pattern: str
) -> "Iterator[tuple[FilteredLogEventTypeDef, str]]":
    for group in groups:
        pages = logs.get_paginator("filter_log_events")
        try:
            for page in pages.paginate(logGroupName=group, startTime=since, filterPattern=pattern):
                yield from ((event, group) for event in page["events"])
        except logs.exceptions.ResourceNotFoundException:
            continue  # a function that never ran has no log


def _identity(event: "FilteredLogEventTypeDef", group: str) -> str:
    # Engines give events no ids, or new ones at each read.
    whole = f"{group}|{event['logStreamName']}|{event['timestamp']}|{event['message']}"
    return hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()
