"""The project's own documents, damaged: the error names the file and what is wrong with it."""

from pathlib import Path

import pytest

from leaseway_local.deployment import template
from leaseway_local.errors import LocalCloudError

LAYER = "Resources: {L: {Type: 'AWS::Serverless::LayerVersion', Properties: {%s}}}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"a: [",
        b"\xff\xfe\x00",
        b"a: \x00",
        b"Resources: 5",
        b"Resources: {A: {}}",
        b"Resources: {A: {Type: 5}}",
        b"Resources: {A: 5}",
        b"Resources: {1: {Type: x}}",
        b"Parameters: {}",
        b"Resources: {}\nParameters: {N: {}}",
        b"Resources: {}\na: 2026-99-99",
        b"Resources: {}\na: " + b"[" * 5_000,
        LAYER.encode() % b"ContentUri: 5",
        LAYER.encode() % b"",
        b"Resources: {F: {Type: 'AWS::Serverless::Function'}}",
        b"Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Events: {E: {}}}}}",
        b"Resources: {A: {Type: 'AWS::Serverless::Api', Properties: {DefinitionBody: {}}}}",
    ],
)
def test_a_damaged_template_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(content)

    with pytest.raises(LocalCloudError, match=r"^template\.yaml('s [A1FL])? (cannot be deployed|is not valid YAML)"):
        template.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"a: [",
        b"\xff",
        b"x-amazon-apigateway-gateway-responses: 5",
        b"x-amazon-apigateway-gateway-responses: {A: 5}",
        b"x-amazon-apigateway-gateway-responses: {1: {}}",
    ],
)
def test_a_damaged_gateway_document_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(content)

    with pytest.raises(LocalCloudError, match=r"^gateway\.yaml (cannot be deployed|is not valid YAML)"):
        template.read_gateway_responses(path)


@pytest.mark.parametrize("value", ["", "abc", "1.5", "9" * 5_000, "nan", "1 "])
def test_a_number_parameter_that_is_no_whole_number_is_named(value: str) -> None:
    source = {"Resources": {}, "Parameters": {"Limit": {"Type": "Number", "Default": 5}}}

    with pytest.raises(LocalCloudError, match=r"^the parameter Limit is "):
        template.resolve_numbers(source, {"Limit": value})


@pytest.mark.parametrize(("value", "number"), [("5", 5), ("-1", -1), ("0", 0), ("007", 7)])
def test_a_number_parameter_is_a_number(value: str, number: int) -> None:
    source = {"Resources": {"R": {"Limit": {"Ref": "Limit"}}}, "Parameters": {"Limit": {"Type": "Number"}}}

    assert template.resolve_numbers(source, {"Limit": value})["Resources"] == {"R": {"Limit": number}}
