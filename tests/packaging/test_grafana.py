"""What Grafana is provisioned with: each name that a dashboard asks for is one that there is. No Grafana runs here."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from leaseway import metrics
from leaseway.prometheus import FAMILIES, MetricKind
from leaseway_local.commands import prometheus
from support.dashboard_lines import AWS_METRICS
from support.grafana_dashboards import DASHBOARDS, GRAFANA, list_expressions, list_targets

ROOT = Path(__file__).resolve().parents[2]
CLOUDWATCH = [name for name in DASHBOARDS if name.startswith("cloudwatch-")]
SERVICES = yaml.safe_load((ROOT / "localstack" / "compose.yaml").read_text())["services"]
# Words of PromQL that are no metric where no parenthesis follows them.
_WORDS = {"by", "without", "on", "ignoring", "and", "or", "unless", "offset", "bool"}


def read_provisioning(kind: str) -> dict[str, Any]:
    """The YAML that Grafana reads for `datasources` or `dashboards`."""
    (file,) = (GRAFANA / "provisioning" / kind).iterdir()
    return dict(yaml.safe_load(file.read_text()))


def parse_metrics(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that PromQL names, each with the labels that it is asked by or grouped by."""
    grouped = {label.strip() for labels in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression)
               for label in labels.split(",")}  # fmt: skip
    bare = re.sub(r"\b(?:by|without) \([^)]*\)|\[\w+\]", "", expression)
    for name, matchers in re.findall(r"\b([a-zA-Z_]\w*)\b(?!\s*\()(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', bare)):
        if name not in _WORDS:
            yield name, grouped | set(re.findall(r"(\w+)\s*(?:=|!)", matchers))


def list_unknown_metrics(expression: str) -> list[str]:
    """What an expression names that `GET /metrics` does not have."""
    unknown = []
    for name, labels in parse_metrics(expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        family = FAMILIES.get(name) or FAMILIES.get(base)
        whole = family is not None and (family.kind is MetricKind.HISTOGRAM) == (name != base)
        has = {*(family.labels if family else ()), *(["le"] if name.endswith("_bucket") else [])}
        unknown += [] if whole and labels <= has else [f"{name} by {sorted(labels)}"]
    return unknown


# ---- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", list_expressions())
def test_an_expression_names_what_metrics_has(expression: str) -> None:
    assert list(parse_metrics(expression))
    assert list_unknown_metrics(expression) == []


@pytest.mark.parametrize(
    "expression",
    [
        "leaseway_jobs_made_total",
        "sum by (instance) (app_active_tasks_total)",
        'rate(http_requests_total{code="500"}[1m])',
        "rate(http_request_duration_seconds[5m])",
        "rate(http_requests_total_count[5m])",
        "sum(http_requests_total) / sum(http_answers_total)",
        "sum by (le) (rate(http_request_duration_seconds_sum[5m]))",
    ],
)
def test_a_name_or_label_that_metrics_does_not_have_is_found(expression: str) -> None:
    assert len(list_unknown_metrics(expression)) == 1


def test_the_dashboards_show_every_metric_of_the_page() -> None:
    named = {
        re.sub(r"_(bucket|sum|count)$", "", name) for each in list_expressions() for name, _ in parse_metrics(each)
    }
    assert named == set(FAMILIES)


def test_the_documented_queries_are_on_them_word_for_word() -> None:
    assert {
        "sum(app_active_tasks_total)",
        "rate(http_requests_total[1m])",
        "rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m])",
    } <= set(list_expressions())


@pytest.mark.parametrize("name", CLOUDWATCH)
def test_a_query_of_cloudwatch_names_a_metric_that_there_is_under_its_dimensions(name: str) -> None:
    for target in list_targets(name):
        dimensions = set(target["dimensions"])
        if target["namespace"] == metrics.NAMESPACE:
            assert target["dimensions"][metrics.SERVICE] == "${stack}"
            known = {frozenset(names) for names in metrics.CATALOGUE[target["metricName"]].by}
            assert frozenset(dimensions - {metrics.SERVICE}) in known, target
        else:
            dimension, names = AWS_METRICS[target["namespace"]]
            assert (dimensions, target["metricName"] in names) == ({dimension}, True)


def test_the_service_on_cloudwatch_is_the_stacks_own_dashboard() -> None:
    widgets = json.loads((ROOT / "infra" / "dashboard.json").read_text())["widgets"]
    declared = [
        (widget["properties"]["title"], line[0], line[1], line[-1]["label"], line[-1]["stat"])
        for widget in widgets
        for line in widget["properties"].get("metrics", [])
    ]
    drawn = [
        (panel["title"], *(target[each] for each in ("namespace", "metricName", "label", "statistic")))
        for panel in DASHBOARDS["cloudwatch-service"]["panels"]
        for target in panel.get("targets", [])
    ]
    assert sorted(drawn) == sorted(declared)


@pytest.mark.parametrize("name", CLOUDWATCH)
def test_a_query_uses_no_variable_that_its_dashboard_lacks(name: str) -> None:
    dimensions = json.dumps([target["dimensions"] for target in list_targets(name)])
    defined = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", dimensions)) <= defined
    assert "${AWS" not in json.dumps(DASHBOARDS[name])


# ---- Provisioning ----------------------------------------------------------------------------------------------------


def test_there_are_the_service_and_the_tasks_for_both_sources() -> None:
    assert list(DASHBOARDS) == ["cloudwatch-service", "cloudwatch-tasks", "prometheus-service", "prometheus-tasks"]
    assert {board["uid"] for board in DASHBOARDS.values()} == {f"leaseway-{name}" for name in DASHBOARDS}


def test_every_panel_asks_a_source_that_is_provisioned() -> None:
    sources = {source["uid"]: source["type"] for source in read_provisioning("datasources")["datasources"]}
    for name, board in DASHBOARDS.items():
        charts = [panel for panel in board["panels"] if panel["type"] != "row"]
        sources_used = {(one["datasource"]["uid"], one["datasource"]["type"]) for one in (*charts, *list_targets(name))}
        assert sources_used == {(f"leaseway-{name.partition('-')[0]}", sources[f"leaseway-{name.partition('-')[0]}"])}


def test_the_provider_reads_where_compose_mounts_the_dashboards() -> None:
    mounted = dict(volume.split(":")[1::-1] for volume in SERVICES["grafana"]["volumes"])
    (provider,) = read_provisioning("dashboards")["providers"]
    assert (ROOT / "localstack" / mounted[provider["options"]["path"]]).resolve() == GRAFANA / "dashboards"
    assert (ROOT / "localstack" / mounted["/etc/grafana/provisioning"]).resolve() == GRAFANA / "provisioning"


def test_every_variable_of_the_sources_is_given_to_the_container() -> None:
    named = set(re.findall(r"\$(\w+)", json.dumps(read_provisioning("datasources"))))
    assert named
    assert named <= set(SERVICES["grafana"]["environment"])


def test_grafana_asks_the_prometheus_that_runs_beside_it() -> None:
    listening = [option for option in SERVICES["prometheus"]["command"] if "web.listen-address" in option]
    address = SERVICES["grafana"]["environment"]["PROMETHEUS_URL"].removeprefix("http://")
    assert listening == [f"--web.listen-address={address}"]


def test_they_come_with_their_profile_only_and_listen_on_the_loopback_address_alone() -> None:
    for name in ("prometheus", "grafana"):
        assert SERVICES[name]["profiles"] == ["monitoring"]
        assert SERVICES[name]["network_mode"] == "host"
        assert "ports" not in SERVICES[name]
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_prometheus_reads_the_file_that_is_mounted_and_may_not_be_made_up() -> None:
    configuration = next(volume for volume in SERVICES["prometheus"]["volumes"] if isinstance(volume, dict))
    assert f"--config.file={configuration['target']}" in SERVICES["prometheus"]["command"]
    assert configuration["bind"]["create_host_path"] is False


def test_the_shortest_range_that_is_asked_for_holds_some_scrapes() -> None:
    ranges = {int(number) * 60 for each in list_expressions() for number in re.findall(r"\[(\d+)m\]", each)}
    assert min(ranges) >= 4 * prometheus.SCRAPE_SECONDS
    (source,) = [one for one in read_provisioning("datasources")["datasources"] if one["type"] == "prometheus"]
    assert source["jsonData"]["timeInterval"] == f"{prometheus.SCRAPE_SECONDS}s"


# ---- Form ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_own_model_keeps_all_that_a_dashboard_says(name: str) -> None:
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARDS[name])))
    assert list(list_dropped_fields(DASHBOARDS[name], read)) == []


def list_dropped_fields(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Where what was read lacks something, or has it otherwise: a field that Grafana does not know is dropped."""
    if isinstance(written, dict):
        for key, value in written.items():
            yield from list_dropped_fields(value, read.get(key) if isinstance(read, dict) else None, f"{path}.{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for one, other in zip(written, read, strict=True):
            yield from list_dropped_fields(one, other, f"{path}[]")
    elif written != read:
        yield path


def test_a_field_that_grafana_does_not_know_is_left_out() -> None:
    plugins.register_default_plugins()
    board = {"title": "x", "panels": [{"type": "timeseries", "titel": "y"}]}
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert list(list_dropped_fields(board, read)) == [".panels[].titel"]
