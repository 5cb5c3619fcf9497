"""The OpenAPI document, and whether an answer is one that it describes."""

import json
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from support.api_gateway import ApiResponse, call

DOCUMENT: dict[str, Any] = json.loads(call("GET", "/openapi.json").text)
_REGISTRY: Any = Registry().with_resource("urn:api", Resource.from_contents(DOCUMENT, DRAFT202012))


def get_operation(path: str, method: str) -> dict[str, Any]:
    """Return the operation of a method of a path."""
    operation: dict[str, Any] = DOCUMENT["paths"][path][method]
    return operation


def allows(schema: dict[str, Any], value: Any) -> bool:
    """Whether a schema of the document, whose references mean the document, admits the value."""
    whole = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    return bool(Draft202012Validator(whole, registry=_REGISTRY).is_valid(value))


def require_documented(path: str, method: str, answer: ApiResponse) -> None:
    """Fail unless the document has the answer's status and, for JSON, a schema that admits its body."""
    responses = get_operation(path, method)["responses"]
    assert answer.status < 500, answer.text
    assert str(answer.status) in responses, f"{answer.status} is undocumented: {answer.text}"
    media = responses[str(answer.status)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    schema = media.get(kind, {}).get("schema")
    if schema and "json" in kind:
        assert allows(schema, json.loads(answer.text)), answer.text
