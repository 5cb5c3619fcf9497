"""Metric lines as CloudWatch reads them, and a way to overtake a transfer while it is planned."""

from typing import Any

import pytest

from leaseway.accounts import change_balance, settlement, transfer

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


def overtake_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfer 1 from ann to ben, and credit ann 1 while the transfer is planned."""
    real = settlement._Settlement.read

    def read_and_overtake(self: Any, user: str) -> Any:
        account = real(self, user)
        if user == "ben":
            change_balance("ann", 1, request_id="o")
        return account

    with monkeypatch.context() as patch:
        patch.setattr(settlement._Settlement, "read", read_and_overtake)
        transfer("ann", "ben", 1, owner=None, request_id="t")
