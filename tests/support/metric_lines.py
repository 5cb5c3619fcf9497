"""Metric lines as CloudWatch reads them, and a transfer that meets a conflict."""

from collections.abc import Callable
from typing import Any

from leaseway.accounts import transfer
from support.faulty_wire import intercept_calls, make_cancellation

Line = dict[str, Any]


def collect_points(lines: list[Line]) -> dict[tuple[str, ...], list[float]]:
    """Collect values by metric and dimensions, as CloudWatch reads them out of the lines."""
    values: dict[tuple[str, ...], list[float]] = {}
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"] == "Leaseway"
            for names in directive["Dimensions"]:
                assert names[-1] == "service" or "service" in names
                by = tuple(line[name] for name in names if name != "service")
                for metric in directive["Metrics"]:
                    values.setdefault((metric["Name"], *by), []).extend(line[metric["Name"]])
    return values


def transfer_in_conflict() -> None:
    """Transfer 1 from ann to ben, in conflict with another transaction at first."""
    conflicts = [make_cancellation("TransactionConflict", "None")]

    def conflict_once(call: Callable[[], Any]) -> Any:
        if conflicts:
            raise conflicts.pop()
        return call()

    with intercept_calls(conflict_once, "TransactWriteItems"):
        transfer("ann", "ben", 1, owner=None, request_id="t")
