"""infra/dashboard.json against what there is: metrics, functions, queues and job types."""

import json
import re
from typing import Any

import pytest

from leaseway import metrics
from leaseway.jobs.types import catalogue
from leaseway_local.deployment import template
from leaseway_local.monitoring import widgets
from support.dashboard_lines import AWS_METRICS, SOURCE, Line, read_dashboard_lines
from support.template_lookup import find_resources

BESIDE_THE_DASHBOARD = {"FirstAdminFunction"}  # runs once a deployment
NOT_DRAWN = {"LedgerEntriesChecked", "JobFailures", "RetentionLag"}  # alarms watch their like


@pytest.mark.parametrize(
    "line", [line for line in read_dashboard_lines() if line[0] == "Leaseway"], ids=lambda line: line[1]
)
def test_a_metric_of_ours_is_in_the_catalogue_under_these_dimensions(line: Line) -> None:
    _, name, dimensions, _ = line
    assert dimensions.pop(metrics.SERVICE) == "${AWS::StackName}"
    assert tuple(dimensions) in metrics.CATALOGUE[name].by


@pytest.mark.parametrize(
    "line", [line for line in read_dashboard_lines() if line[0] != "Leaseway"], ids=lambda line: line[1]
)
def test_a_metric_of_awss_is_one_that_it_has(line: Line) -> None:
    namespace, name, dimensions, _ = line
    dimension, known = AWS_METRICS[namespace]
    assert (set(dimensions), name in known) == ({dimension}, True)


def test_there_is_no_metric_math() -> None:
    assert not any("expression" in options for *_, options in read_dashboard_lines())
    assert all({"label", "stat"} <= set(options) for *_, options in read_dashboard_lines())


def test_the_template_has_it_as_a_block_that_people_can_read() -> None:
    block = template.read()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert block == SOURCE.read_text(), "run `make generate`"
    assert max(map(len, template.TEMPLATE.read_text().splitlines())) < 200


def test_every_queue_and_every_function_is_on_it() -> None:
    described = template.read()
    named = set(re.findall(r"\$\{(\w+?)(?:\.QueueName)?\}", SOURCE.read_text()))
    expected = {*find_resources(described, "AWS::SQS::Queue"), *find_resources(described, template.FUNCTION_TYPE)}
    assert expected - BESIDE_THE_DASHBOARD == named


def test_every_job_type_is_on_it() -> None:
    by_type = {dimensions["type"] for _, _, dimensions, _ in read_dashboard_lines() if "type" in dimensions}
    assert by_type == set(catalogue())


def test_every_metric_of_the_catalogue_is_on_it_or_is_only_counted_by_the_check() -> None:
    absent = set(metrics.CATALOGUE) - {name for _, name, *_ in read_dashboard_lines()} - NOT_DRAWN
    assert not absent, "run `make generate`"


def test_widgets_ask_for_at_most_what_one_page_of_cloudwatch_takes() -> None:
    body = json.loads(SOURCE.read_text())

    class Silent:
        def get_metric_data(self, MetricDataQueries: list[Any], **_: Any) -> Any:  # noqa: N803 - CloudWatch's name
            query_counts.append(len(MetricDataQueries))
            return {
                "MetricDataResults": [
                    {"Id": query["Id"], "Timestamps": [], "Values": []} for query in MetricDataQueries
                ]
            }

    query_counts: list[int] = []
    drawn = widgets.read_widgets(body, Silent(), 60)
    assert query_counts == [len(read_dashboard_lines())]
    assert query_counts[0] <= 500
    assert len(drawn["widgets"]) == len(body["widgets"])
