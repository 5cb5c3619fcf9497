"""Grafana's dashboards in infra/grafana and their queries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parents[2] / "infra" / "grafana"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").iterdir())}


def list_targets(name: str) -> Iterator[dict[str, Any]]:
    """List every query of a dashboard."""
    for panel in DASHBOARDS[name]["panels"]:
        yield from panel.get("targets", [])


def list_expressions() -> list[str]:
    """List every PromQL expression of the dashboards, each once."""
    return sorted({target["expr"] for name in DASHBOARDS for target in list_targets(name) if "expr" in target})
