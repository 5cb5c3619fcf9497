"""template.yaml, and its form for deployment: with the addresses of uploads, as `sam package` writes them."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import msgspec
import yaml

from leaseway_local.answer_checks import Shape
from leaseway_local.engine.paths import ROOT
from leaseway_local.errors import LocalCloudError

TEMPLATE = ROOT / "template.yaml"

FUNCTION_TYPE = "AWS::Serverless::Function"
LAYER_TYPE = "AWS::Serverless::LayerVersion"
API_TYPE = "AWS::Serverless::Api"

_GATEWAY_RESPONSES = "x-amazon-apigateway-gateway-responses"
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_POLLED_EVENTS = ("SQS", "DynamoDB")

_LONG_NAMES = {"Ref": "Ref", "Condition": "Condition"}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as `!Sub`, as their long forms."""


def _construct_long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
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


_Loader.add_multi_constructor("!", _construct_long_form)


class _Parameter(TypedDict):
    Type: str
    Default: NotRequired[Any]


class _Resource(TypedDict):
    Type: str
    Properties: NotRequired[dict[str, Any]]


class _Template(TypedDict):
    Resources: dict[str, _Resource]
    Parameters: NotRequired[dict[str, _Parameter]]


class _LayerProperties(TypedDict):
    ContentUri: str


class _Layer(TypedDict):
    Properties: _LayerProperties


class _Event(TypedDict):
    Type: str


class _FunctionProperties(TypedDict):
    Events: NotRequired[dict[str, _Event]]


class _Function(TypedDict):
    Properties: _FunctionProperties


class _IncludeParameters(TypedDict):
    Location: str


class _Include(TypedDict):
    Parameters: _IncludeParameters


_Definition = TypedDict("_Definition", {"Fn::Transform": _Include})


class _ApiProperties(TypedDict):
    DefinitionBody: _Definition


class _Api(TypedDict):
    Properties: _ApiProperties


_SHAPES: dict[str, Any] = {LAYER_TYPE: _Layer, FUNCTION_TYPE: _Function, API_TYPE: _Api}
"""What is read of a resource here, by its type."""


@dataclass(frozen=True)
class Locations:
    """The `s3://` addresses that replace the local paths of a template."""

    layers: dict[str, str]
    """By the template's path, such as `layers/core/`."""
    functions: str
    gateway: str


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """Read the template, with every short form written out.

    Raises:
        LocalCloudError: it is not YAML, or has no resources.
    """
    template: dict[str, Any] = dict(_check(_read_yaml(path), _Template, path.name))
    for name, resource in template["Resources"].items():
        _check(resource, _SHAPES.get(resource["Type"], _Resource), f"{path.name}'s {name}")
    return template


def read_gateway_responses(path: Path) -> dict[Any, dict[str, Any]]:
    """Read the responses that a gateway document gives to the API's own refusals, by their type.

    Raises:
        LocalCloudError: it is not YAML, or its responses are not mappings.
    """
    document = _check(_read_yaml(path), dict[str, Any], path.name)
    return _check(document.get(_GATEWAY_RESPONSES, {}), dict[str, dict[str, Any]], path.name)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a SafeLoader with short forms
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise LocalCloudError(f"{path.name} is not valid YAML: {problem}", "Correct the line it names.") from problem


def _check(document: Any, shape: type[Shape], name: str) -> Shape:
    try:
        msgspec.convert(document, shape)
    except (ValueError, RecursionError) as problem:
        raise LocalCloudError(f"{name} cannot be deployed: {problem}.", "Correct it, then deploy again.") from problem
    return cast(Shape, document)


def package(template: dict[str, Any], locations: Locations) -> dict[str, Any]:
    """Return the template with every local path replaced by the address of its upload.

    Raises:
        LocalCloudError: nothing was uploaded for a path.
    """
    rewritten = copy.deepcopy(template)
    functions = rewritten.get("Globals", {}).get("Function", {})
    if "CodeUri" in functions:
        functions["CodeUri"] = locations.functions
    for name, resource in rewritten["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] in (LAYER_TYPE, FUNCTION_TYPE):
            resource.pop("Metadata", None)  # only `sam build` uses it
        if resource["Type"] == LAYER_TYPE:
            properties["ContentUri"] = _find_upload(locations.layers, properties["ContentUri"], name)
        elif resource["Type"] == FUNCTION_TYPE and "CodeUri" in properties:
            properties["CodeUri"] = locations.functions
        elif resource["Type"] == API_TYPE:
            properties["DefinitionBody"]["Fn::Transform"]["Parameters"]["Location"] = locations.gateway
    return rewritten


def resolve_numbers(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template with references to Number parameters replaced by numbers, except in environments.

    AWS converts the text of a Number parameter to the type of the property. MiniStack passes on the text, and a mapping
    whose MaximumConcurrency is a text never polls.

    Raises:
        LocalCloudError: a Number parameter is not a whole number.
    """
    declared = template.get("Parameters", {})
    numbers = {
        name: _parse_number(name, parameters.get(name, parameter.get("Default")))
        for name, parameter in declared.items()
        if parameter["Type"] == "Number"
    }

    def replace(node: Any) -> Any:
        if isinstance(node, list):
            return [replace(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Ref"} and node["Ref"] in numbers:
            return numbers[node["Ref"]]
        return {name: value if name == "Environment" else replace(value) for name, value in node.items()}

    return template | {"Resources": replace(template["Resources"])}


def _parse_number(name: str, value: Any) -> int:
    if not _WHOLE_NUMBER.fullmatch(str(value)):
        raise LocalCloudError(f"the parameter {name} is {value!r}.", f"Give a whole number: --parameter {name}=1.")
    return int(value)


def _find_upload(locations: dict[str, str], path: str, name: str) -> str:
    if path not in locations:
        raise LocalCloudError(
            f"template.yaml's {name} takes its content from {path}, which is not packaged.",
            "Package it in leaseway_local.deployment.deployer.",
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
