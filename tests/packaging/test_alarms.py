"""The alarms of the template: each has a reason, a page to turn to, and a metric that there is."""

import re
from pathlib import Path

import pytest

from leaseway import metrics
from leaseway_local.deployment import template
from support.template_lookup import find_resources, resolve_default, resolve_name

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
TRIPPED = (ROOT / "tests" / "integration" / "test_monitor.py").read_text()
TEMPLATE = template.read()
ALARMS = find_resources(TEMPLATE, "AWS::CloudWatch::Alarm")
OF_AWS = {"AWS/SQS": {"ApproximateAgeOfOldestMessage"}, "AWS/Lambda": {"Throttles", "IteratorAge"}}


def name_of(alarm: str) -> str:
    return str(ALARMS[alarm]["Properties"]["AlarmName"]["Fn::Sub"]).removeprefix("${AWS::StackName}-")


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_says_why_and_where_to_read_on(alarm: str) -> None:
    description = ALARMS[alarm]["Properties"]["AlarmDescription"]

    assert re.fullmatch(rf"[A-Z].{{20,}}\. docs/runbook\.md#{name_of(alarm)}", description)
    assert f"\n## {name_of(alarm)}\n" in RUNBOOK


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarms_metric_exists_and_is_of_this_stack(alarm: str) -> None:
    alarm_properties = ALARMS[alarm]["Properties"]
    (dimension,) = alarm_properties["Dimensions"]

    if alarm_properties["Namespace"] == metrics.NAMESPACE:
        assert () in metrics.CATALOGUE[alarm_properties["MetricName"]].by
        assert dimension == {"Name": metrics.SERVICE, "Value": {"Ref": "AWS::StackName"}}
    else:
        assert alarm_properties["MetricName"] in OF_AWS[alarm_properties["Namespace"]]
        assert resolve_name(dimension["Value"]) in TEMPLATE["Resources"]
    assert resolve_default(TEMPLATE, alarm_properties["Threshold"]) > 0


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_calls_the_topic_when_it_begins_and_when_it_ends(alarm: str) -> None:
    alarm_properties = ALARMS[alarm]["Properties"]
    calls = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}

    assert alarm_properties["AlarmActions"] == alarm_properties["OKActions"] == calls


def test_the_runbook_lists_the_alarms_and_no_other() -> None:
    listed = re.findall(r"^\| ([a-z-]+) \| .+ \| (?:yes|no: .+) \|$", RUNBOOK, re.MULTILINE)

    assert listed == re.findall(r"^## ([a-z-]+)$", RUNBOOK, re.MULTILINE)
    assert sorted(listed) == sorted(map(name_of, ALARMS))


def test_every_queue_has_an_alarm_of_its_age() -> None:
    watched = {resolve_name(alarm["Properties"]["Dimensions"][0]["Value"]) for alarm in ALARMS.values()}

    assert set(find_resources(TEMPLATE, "AWS::SQS::Queue")) <= watched


def test_every_alarm_is_tripped_by_a_test_and_none_by_hand() -> None:
    assert set(map(name_of, ALARMS)) - set(re.findall(r'"([a-z-]+)"', TRIPPED)) == set()
    assert not re.search(r"set_alarm_state|put_metric_data", TRIPPED)
