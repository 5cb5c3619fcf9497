"""What metric lines mean to CloudWatch, and a transfer that is overtaken, which is hard to bring about."""

from typing import Any

import pytest

from leaseway.accounts import change_balance, settlement, transfer

Line = dict[str, Any]


def points(lines: list[Line]) -> dict[tuple[str, ...], list[float]]:
    """Values by metric and dimensions, as CloudWatch reads them out of the lines."""
    found: dict[tuple[str, ...], list[float]] = {}
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"] == "Leaseway"
            for names in directive["Dimensions"]:
                assert names[-1] == "service" or "service" in names
                by = tuple(line[name] for name in names if name != "service")
                for metric in directive["Metrics"]:
                    found.setdefault((metric["Name"], *by), []).extend(line[metric["Name"]])
    return found


def transfer_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann sends ben 1, and is paid 1 while that is planned."""
    real = settlement._Settlement.read

    def overtaken(self: Any, user: str) -> Any:
        account = real(self, user)
        if user == "ben":
            change_balance("ann", 1, request_id="o")
        return account

    with monkeypatch.context() as patch:
        patch.setattr(settlement._Settlement, "read", overtaken)
        transfer("ann", "ben", 1, owner=None, request_id="t")
