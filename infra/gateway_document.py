"""gateway.yaml: the REST API as API Gateway imports it, with one entry per route.

There is no greedy proxy route: it would break Chalice's route matching, and the gateway should refuse unknown paths.
"""

import json
from typing import Any

import msgspec
from chalice import Chalice

from api import problems
from api.access import Access
from api.routes import operation_of
from authorizer.app import CACHE_SECONDS

JsonObject = dict[str, Any]

# CloudFormation fills this in: the deployer puts the document into the template, as AWS::Include does on AWS.
_INVOKE = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${%s.Arn}/invocations"
_INVOKE_API = {"Fn::Sub": _INVOKE % "ApiFunction"}
_SCHEME = "token"
# The gateway refuses text that cannot be a token, so that no function runs for it.
_WELL_FORMED = r"^[Bb][Ee][Aa][Rr][Ee][Rr] +[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
# API Gateway compresses larger responses for clients that accept it; Swagger UI shrinks to a third.
_COMPRESS_ABOVE_BYTES = 1_024

# The gateway's own responses: type, then our status, code and title. The statuses are AWS's defaults, except
# that an unknown path is 404 instead of 403.
_NO_ROUTE = (404, "ROUTE_NOT_FOUND", "There is no such path, or it does not take this method.")
_MALFORMED = (400, "INVALID_INPUT", "The request is malformed.")
_FORBIDDEN = (403, "FORBIDDEN", "You may not do this.")
_SLOW_DOWN = (429, "TOO_MANY_REQUESTS", "Too many requests; wait a moment.")
_LOST = (504, "OUTCOME_UNKNOWN", "The answer was lost: the change may or may not have been made.")
_BROKEN = (500, "INTERNAL_ERROR", "Something went wrong in the service.")
_REFUSALS: dict[str, tuple[int, str, str]] = {
    "ACCESS_DENIED": _FORBIDDEN,
    "API_CONFIGURATION_ERROR": _BROKEN,
    "AUTHORIZER_CONFIGURATION_ERROR": _BROKEN,
    "AUTHORIZER_FAILURE": (503, "UNAVAILABLE", "The token cannot be checked at the moment; nothing was changed."),
    "BAD_REQUEST_BODY": _MALFORMED,
    "BAD_REQUEST_PARAMETERS": _MALFORMED,
    "DEFAULT_4XX": _MALFORMED,
    "DEFAULT_5XX": _BROKEN,
    "EXPIRED_TOKEN": _FORBIDDEN,
    "INTEGRATION_FAILURE": _LOST,
    "INTEGRATION_TIMEOUT": _LOST,
    "INVALID_API_KEY": _FORBIDDEN,
    "INVALID_SIGNATURE": _FORBIDDEN,
    "MISSING_AUTHENTICATION_TOKEN": _NO_ROUTE,
    "QUOTA_EXCEEDED": _SLOW_DOWN,
    "REQUEST_TOO_LARGE": (413, "BODY_TOO_LARGE", "The request body is too large."),
    "RESOURCE_NOT_FOUND": _NO_ROUTE,
    "THROTTLED": _SLOW_DOWN,
    "UNAUTHORIZED": (401, "UNAUTHORIZED", "The request needs a valid token."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "UNSUPPORTED_MEDIA_TYPE", "The request body must be JSON."),
    "WAF_FILTERED": _FORBIDDEN,
}
_REQUEST_ID = "$context.requestId"


def gateway_document(app: Chalice) -> JsonObject:
    """Return the document for `app`'s routes."""
    return {
        "openapi": "3.0.1",
        "info": {"title": "leaseway", "version": "1"},
        "x-amazon-apigateway-minimum-compression-size": _COMPRESS_ABOVE_BYTES,
        "x-amazon-apigateway-gateway-responses": {kind: _refusal(*refusal) for kind, refusal in _REFUSALS.items()},
        "paths": {path: _methods(methods) for path, methods in sorted(app.routes.items())},
        "components": {"securitySchemes": {_SCHEME: _authorizer()}},
    }


def gateway_answers(*, needs_token: bool) -> list[tuple[int, str, str]]:
    """Return status, code and title of each response that the gateway itself can give on a route, without repeats."""
    of_tokens = {"AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE", "UNAUTHORIZED"}
    return sorted({refusal for kind, refusal in _REFUSALS.items() if needs_token or kind not in of_tokens})


def _authorizer() -> JsonObject:
    return {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "token",
            "authorizerUri": {"Fn::Sub": _INVOKE % "AuthorizerFunction"},
            "authorizerResultTtlInSeconds": CACHE_SECONDS,
            "identityValidationExpression": _WELL_FORMED,
        },
    }


def _methods(methods: JsonObject) -> JsonObject:
    """Describe a path's methods, HEAD if it has GET, and OPTIONS, which the function answers without a token."""
    path_parameters = next(iter(methods.values())).view_args
    described = {method.lower(): _secure(entry) for method, entry in sorted(methods.items())}
    heads = {"head": described["get"]} if "get" in described else {}
    return described | heads | {"options": _method(path_parameters)}


def _secure(entry: Any) -> JsonObject:
    is_open = operation_of(entry.view_function).access is Access.OPEN
    return _method(entry.view_args) | ({} if is_open else {"security": [{_SCHEME: []}]})


def _method(path_parameters: list[str]) -> JsonObject:
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


def _refusal(status: int, code: str, title: str) -> JsonObject:
    headers = {"Content-Type": f"'{problems.CONTENT_TYPE}'", "x-request-id": _REQUEST_ID.removeprefix("$")}
    if status in (429, 503):
        headers["retry-after"] = "'1'"
    if status == 401:
        headers["www-authenticate"] = "'Bearer'"
    document = problems.document(status=status, code=code, title=title, detail=title, request_id=_REQUEST_ID)
    return {
        "statusCode": status,
        "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in headers.items()},
        "responseTemplates": {"application/json": json.dumps(msgspec.to_builtins(document))},
    }
