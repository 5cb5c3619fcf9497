"""What `sam package` would do, done to template.yaml."""

import copy
from pathlib import Path
from typing import Any

import pytest

from leaseway_local.deployment import template
from leaseway_local.errors import LocalCloudError

LOCATIONS = template.Locations(
    layers={"layers/core/": "s3://code/core.zip", "layers/runtime/": "s3://code/runtime.zip"},
    functions="s3://code/functions.zip",
    gateway="s3://code/gateway.yaml",
)


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    return template.read()


def test_short_forms_become_long_forms(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Resources: {}\na: !Ref B\nc: !GetAtt D.Arn\ne: !Sub ${F}\ng: !If [h, !Ref I, !Ref AWS::NoValue]\n")

    assert template.read(path) == {
        "Resources": {},
        "a": {"Ref": "B"},
        "c": {"Fn::GetAtt": ["D", "Arn"]},
        "e": {"Fn::Sub": "${F}"},
        "g": {"Fn::If": ["h", {"Ref": "I"}, {"Ref": "AWS::NoValue"}]},
    }


def test_a_template_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("a: [")

    with pytest.raises(LocalCloudError, match="is not valid YAML"):
        template.read(path)


def test_every_local_path_is_replaced_and_nothing_else(source: dict[str, Any]) -> None:
    before = copy.deepcopy(source)

    packaged = template.package(source, LOCATIONS)

    assert source == before
    resources = packaged["Resources"]
    assert resources["CoreLayer"]["Properties"]["ContentUri"] == "s3://code/core.zip"
    assert resources["RuntimeLayer"]["Properties"]["ContentUri"] == "s3://code/runtime.zip"
    assert packaged["Globals"]["Function"]["CodeUri"] == "s3://code/functions.zip"
    body = resources["Api"]["Properties"]["DefinitionBody"]
    assert body["Fn::Transform"]["Parameters"]["Location"] == "s3://code/gateway.yaml"
    touched = {"CoreLayer", "RuntimeLayer", "Api"}
    for name in resources.keys() - touched:
        # How `sam build` builds it is nothing to who has built it.
        assert resources[name] == {key: value for key, value in before["Resources"][name].items() if key != "Metadata"}


def test_a_layer_that_nothing_packages_is_named(source: dict[str, Any]) -> None:
    with pytest.raises(LocalCloudError, match="CoreLayer takes its content from layers/core/"):
        template.package(source, template.Locations({}, "s3://code/f.zip", "s3://code/g.yaml"))


def test_numbers_of_parameters_are_written_out_except_in_environments(source: dict[str, Any]) -> None:
    numbered = template.resolve_numbers(source, {"WorkerConcurrency": "7", "LeaseSeconds": "4"})

    worker = numbered["Resources"]["WorkerFunction"]["Properties"]
    assert worker["Events"]["Jobs"]["Properties"]["ScalingConfig"]["MaximumConcurrency"] == 7
    assert worker["MemorySize"] == source["Parameters"]["WorkerMemory"]["Default"]
    assert numbered["Globals"]["Function"]["Environment"]["Variables"]["LEASE_SECONDS"] == {"Ref": "LeaseSeconds"}
    assert numbered["Resources"]["ApiFunction"]["Properties"]["FunctionName"] == {"Fn::Sub": "${AWS::StackName}-api"}
