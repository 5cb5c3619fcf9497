"""Grafana's dashboards as they lie in infra/grafana, for tests of what they ask for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parents[2] / "infra" / "grafana"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").iterdir())}


def targets(name: str) -> Iterator[dict[str, Any]]:
    """Every query of a dashboard."""
    for panel in DASHBOARDS[name]["panels"]:
        yield from panel.get("targets", [])


def expressions() -> list[str]:
    """Every expression of PromQL on a dashboard, once."""
    return sorted({target["expr"] for name in DASHBOARDS for target in targets(name) if "expr" in target})
