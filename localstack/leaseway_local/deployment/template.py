"""template.yaml as it is deployed: with the addresses of uploaded archives, as `sam package` would write them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from leaseway_local.engine.paths import ROOT
from leaseway_local.errors import LocalCloudError

TEMPLATE = ROOT / "template.yaml"

FUNCTION_TYPE = "AWS::Serverless::Function"
LAYER_TYPE = "AWS::Serverless::LayerVersion"
API_TYPE = "AWS::Serverless::Api"

_POLLED_EVENTS = ("SQS", "DynamoDB")

_LONG_NAMES = {"Ref": "Ref", "Condition": "Condition"}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as `!Sub`, into their long forms."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {_LONG_NAMES.get(suffix, f"Fn::{suffix}"): value}


_Loader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True)
class Locations:
    """Where the local paths of a template were uploaded to, as `s3://` addresses."""

    layers: dict[str, str]
    """By the template's path, such as `layers/core/`."""
    functions: str
    gateway: str


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template with every short form written out.

    Raises:
        LocalCloudError: it is not YAML.
    """
    try:
        found = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader with short forms
    except yaml.YAMLError as problem:
        raise LocalCloudError(f"{path.name} is not valid YAML: {problem}", "Correct the line it names.") from problem
    return dict(found)


def packaged(template: dict[str, Any], locations: Locations) -> dict[str, Any]:
    """The template with every local path replaced by the address it was uploaded to.

    Raises:
        LocalCloudError: a path that nothing was uploaded for.
    """
    rewritten = copy.deepcopy(template)
    functions = rewritten.get("Globals", {}).get("Function", {})
    if "CodeUri" in functions:
        functions["CodeUri"] = locations.functions
    for name, resource in rewritten["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] in (LAYER_TYPE, FUNCTION_TYPE):
            resource.pop("Metadata", None)  # it only tells `sam build` how to build
        if resource["Type"] == LAYER_TYPE:
            properties["ContentUri"] = _uploaded(locations.layers, properties["ContentUri"], name)
        elif resource["Type"] == FUNCTION_TYPE and "CodeUri" in properties:
            properties["CodeUri"] = locations.functions
        elif resource["Type"] == API_TYPE:
            properties["DefinitionBody"]["Fn::Transform"]["Parameters"]["Location"] = locations.gateway
    return rewritten


def with_numbers(template: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The template with every reference to a Number parameter replaced by its number, outside of environments.

    AWS turns the text of a Number parameter into what a property needs; MiniStack hands the text on, and a mapping
    whose MaximumConcurrency is a text never polls.
    """
    declared = template.get("Parameters", {})
    numbers = {
        name: int(given.get(name, declared[name]["Default"])) for name in declared if declared[name]["Type"] == "Number"
    }

    def replaced(node: Any) -> Any:
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Ref"} and node["Ref"] in numbers:
            return numbers[node["Ref"]]
        return {name: value if name == "Environment" else replaced(value) for name, value in node.items()}

    return template | {"Resources": replaced(template["Resources"])}


def _uploaded(locations: dict[str, str], path: str, name: str) -> str:
    if path not in locations:
        raise LocalCloudError(
            f"template.yaml's {name} takes its content from {path}, which nothing packages.",
            "Teach leaseway_local.deployment.deployer to package it.",
        )
    return locations[path]


def gateway_path(template: dict[str, Any]) -> Path:
    """The gateway document that the template includes."""
    for resource in template["Resources"].values():
        if resource["Type"] == API_TYPE:
            return ROOT / str(resource["Properties"]["DefinitionBody"]["Fn::Transform"]["Parameters"]["Location"])
    raise LocalCloudError("template.yaml has no REST API.", "It needs one AWS::Serverless::Api.")


def function_names(template: dict[str, Any]) -> list[str]:
    """Logical names of the functions, in the template's order."""
    return [name for name, resource in template["Resources"].items() if resource["Type"] == FUNCTION_TYPE]


def event_sources(template: dict[str, Any], function: str) -> list[str]:
    """Names of the function's events that Lambda polls: queues and streams."""
    events = template["Resources"][function]["Properties"].get("Events", {})
    return [name for name, event in events.items() if event["Type"] in _POLLED_EVENTS]
