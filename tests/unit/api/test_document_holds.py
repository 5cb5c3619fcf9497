"""The OpenAPI document against the function: what it allows is served or refused as it says, the rest is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.api_gateway import ApiResponse, call
from support.openapi_answers import DOCUMENT, allows, get_operation, require_documented

pytestmark = pytest.mark.usefixtures("cloud")

OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]
BODIES = [(path, method) for path, method in OPERATIONS if "requestBody" in DOCUMENT["paths"][path][method]]
WRONG_BODIES = ["null", "[]", '"x"', "5", "true", '{"unknown": 1}', "{", "", '{"a": 1, "a": 2}']
WRONG_VALUES = ["", "NOPE", "-1", "1.5", "\n", "x" * 4_000, "\u0000", "%", "9" * 30]


def parameters(path: str, method: str, where: str) -> Iterator[dict[str, Any]]:
    return (one for one in get_operation(path, method).get("parameters", []) if one["in"] == where)


def values(schema: dict[str, Any]) -> Iterator[str]:
    """Values of a parameter as text: what its schema names, its bounds, and what is beside them."""
    yield from (str(value) for value in schema.get("enum", []))
    for bound in ("minimum", "maximum", "default"):
        if isinstance(schema.get(bound), int):
            yield from (str(schema[bound] + step) for step in (-1, 0, 1))
            yield f"{schema[bound]}.0"
    yield from WRONG_VALUES


def read_as(schema: dict[str, Any], text: str) -> Any:
    if schema.get("type") != "integer":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def send(path: str, method: str, **parts: Any) -> ApiResponse:
    names = [one["name"] for one in parameters(path, method, "path")]
    ids = {"id": "0" * 32, "asset": "start.js", "version": "0", "entry": "ann:1"}
    return call(
        method.upper(), path, path={name: ids.get(name, "ann") for name in names} | parts.pop("ids", {}), **parts
    )


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_query_parameters_are_taken_or_refused_as_documented(path: str, method: str, subtests: pytest.Subtests) -> None:
    for parameter in parameters(path, method, "query"):
        for value in values(parameter["schema"]):
            with subtests.test(f"{parameter['name']}={value[:20]!r}"):
                # Given a value beside, at or beyond what the document allows
                answer = send(path, method, query={parameter["name"]: [value]})
                # Then the answer is a documented one, and what the document forbids is refused
                require_documented(path, method, answer)
                if not allows(parameter["schema"], read_as(parameter["schema"], value)):
                    assert answer.status in (400, 404)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_path_parameters_are_taken_or_refused_as_documented(path: str, method: str, subtests: pytest.Subtests) -> None:
    body = json.dumps(get_operation(path, method).get("requestBody", {}).get("content", {}).get("x", {}))
    for parameter in parameters(path, method, "path"):
        for value in ["ann", "0" * 32, "0" * 31, "0" * 32 + "\n", "a b", "..", "\u00e9", "x" * 200, "ann%0A"]:
            with subtests.test(f"{parameter['name']}={value[:20]!r}"):
                answer = send(path, method, ids={parameter["name"]: value}, body=body)
                require_documented(path, method, answer)
                if not allows(parameter["schema"], value):
                    assert answer.status in (400, 404)


@pytest.mark.parametrize(("path", "method"), BODIES)
def test_bodies_are_taken_or_refused_as_documented(path: str, method: str, subtests: pytest.Subtests) -> None:
    body = get_operation(path, method)["requestBody"]
    media = body["content"]["application/json"]
    examples = [media.get("example"), *(one["value"] for one in media.get("examples", {}).values())]
    for text in [*WRONG_BODIES, *(json.dumps(example) for example in examples if example is not None)]:
        with subtests.test(text[:60]):
            # Given a body that the document gives as an example, or none that it knows
            answer = send(path, method, body=text, headers={"content-type": "application/json"})
            # Then the answer is a documented one, and a body that it forbids is refused
            require_documented(path, method, answer)
            try:
                is_allowed = allows(media["schema"], json.loads(text)) and text != WRONG_BODIES[-1]
            except ValueError:
                is_allowed = not text and not body["required"]
            assert is_allowed or answer.status == 400


@pytest.mark.parametrize(("path", "method"), BODIES)
def test_examples_with_one_member_wrong_are_refused(path: str, method: str, subtests: pytest.Subtests) -> None:
    media = get_operation(path, method)["requestBody"]["content"]["application/json"]
    example = media.get("example") or next(iter(media.get("examples", {}).values()), {}).get("value")
    for name in example or {}:
        for wrong in (None, True, [], {}, "", -1, 1.5, 2**70, "\n", "x" * 5_000):
            body = {**example, name: wrong}
            if allows(media["schema"], body):
                continue
            with subtests.test(f"{name}={str(wrong)[:20]!r}"):
                answer = send(path, method, body=json.dumps(body), headers={"content-type": "application/json"})
                require_documented(path, method, answer)
                assert 400 <= answer.status < 500, answer.text


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_a_request_without_a_token_is_answered_as_documented(path: str, method: str) -> None:
    answer = send(path, method, caller=None, body="{}", headers={"content-type": "application/json"})
    require_documented(path, method, answer)
    assert (answer.status == 401) == bool(get_operation(path, method)["security"])
