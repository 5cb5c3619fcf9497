"""gateway.yaml: the REST API as API Gateway imports it, one entry a route.

A greedy proxy would break Chalice's matching, and unknown paths should die at the gateway.
"""

from typing import Any

from chalice import Chalice

# CloudFormation fills this in: the deployer puts the document into the template, as AWS::Include does on AWS.
_INVOKE_API = {
    "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31"
    "/functions/${ApiFunction.Arn}/invocations"
}
# API Gateway compresses what is larger for clients that accept it; Swagger UI shrinks to a third.
_COMPRESS_ABOVE_BYTES = 1_024


def gateway_document(app: Chalice) -> dict[str, Any]:
    """The document for `app`'s routes."""
    return {
        "openapi": "3.0.1",
        "info": {"title": "leaseway", "version": "1"},
        "x-amazon-apigateway-minimum-compression-size": _COMPRESS_ABOVE_BYTES,
        "paths": {path: _methods(methods) for path, methods in sorted(app.routes.items())},
    }


def _methods(methods: dict[str, Any]) -> dict[str, Any]:
    return {method.lower(): _method(entry.view_args) for method, entry in sorted(methods.items())}


def _method(path_parameters: list[str]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in path_parameters
    ]
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": _INVOKE_API,
    }
    return {
        **({"parameters": parameters} if parameters else {}),
        "responses": {"default": {"description": "What the function answers"}},
        "x-amazon-apigateway-integration": integration,
    }
