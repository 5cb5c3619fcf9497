"""What `make generate` adds to the dashboard by itself."""

import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from dashboard_body import complete_dashboard
from leaseway import metrics
from leaseway.metrics import Metric
from leaseway_local.deployment import template
from support.dashboard_lines import SOURCE


def complete(source: Path, catalogue: dict[str, Metric]) -> list[dict[str, Any]]:
    widgets: list[dict[str, Any]] = json.loads(complete_dashboard(source, template.read(), [], catalogue))["widgets"]
    return widgets


def test_a_new_metric_gets_a_line_of_its_own(tmp_path: Path) -> None:
    # Given a metric that no widget shows
    catalogue = {**metrics.CATALOGUE, "TestsOfNewMetrics": Metric(MetricUnit.Count, "Only this test counts it")}
    before = complete(SOURCE, dict(metrics.CATALOGUE))
    # When the dashboard is generated
    *others, last = complete(SOURCE, catalogue)
    # Then the widget at the end, which may show more new metrics, has a line for it, and covers no other
    assert last["properties"]["title"] == "More"
    line = last["properties"]["metrics"].pop()
    assert line[:4] == ["Leaseway", "TestsOfNewMetrics", "service", "${AWS::StackName}"]
    assert line[4] == {"label": "tests of new metrics", "stat": "Sum"}
    assert last["properties"]["yAxis"]["left"]["label"] == "value"
    assert [*others, last] == before if last["properties"]["metrics"] else others == before
    assert all((widget["x"], widget["y"]) != (last["x"], last["y"]) for widget in others)
    assert last["x"] + last["width"] <= 24
    # And the next run changes nothing
    last["properties"]["metrics"].append(line)
    again = tmp_path / "dashboard.json"
    again.write_text(json.dumps({"widgets": [*others, last]}))
    assert complete(again, catalogue) == [*others, last]


def test_a_metric_that_was_moved_by_hand_stays_where_it_is() -> None:
    assert complete(SOURCE, dict(metrics.CATALOGUE)) == complete(
        SOURCE, {"HttpErrors": metrics.CATALOGUE["HttpErrors"]}
    )
