"""Add the gateway document's responses to an API whose engine left them out.

AWS imports `x-amazon-apigateway-gateway-responses` together with the routes; MiniStack skips it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import template

if TYPE_CHECKING:
    from types_boto3_apigateway import APIGatewayClient


def complete(apigateway: "APIGatewayClient", result: Outputs, document: Path) -> bool:
    """Add the responses that the API lacks, and redeploy its stage. Returns whether any were missing."""
    described = template.read_gateway_responses(document)
    existing = apigateway.get_gateway_responses(restApiId=result["ApiId"], limit=500)["items"]
    customised = {response["responseType"]: response for response in existing if not response.get("defaultResponse")}
    missing = {kind: answer for kind, answer in described.items() if not _is_same(customised.get(kind), answer)}
    for kind, answer in missing.items():
        apigateway.put_gateway_response(restApiId=result["ApiId"], responseType=kind, **_request(answer))
    if missing:
        apigateway.create_deployment(restApiId=result["ApiId"], stageName=result["ApiStage"])
    return bool(missing)


def _request(answer: dict[str, Any]) -> dict[str, Any]:
    request = {
        "statusCode": str(answer["statusCode"]) if "statusCode" in answer else None,
        "responseParameters": answer.get("responseParameters"),
        "responseTemplates": answer.get("responseTemplates"),
    }
    return {name: value for name, value in request.items() if value is not None}


def _is_same(existing: Mapping[str, Any] | None, answer: dict[str, Any]) -> bool:
    return existing is not None and all(existing.get(name) == value for name, value in _request(answer).items())
