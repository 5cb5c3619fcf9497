"""API Gateway's part in the unit tests: proxy events in, answers out, through the Lambda handler."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api.app import handler

REQUEST_ID = "5f0c8a52-0f5e-4f2b-9d4e-2f5a0b7c9d11"
ADDRESS = "203.0.113.7"

ADMIN = {"state": "valid", "subject": "admin", "role": "Admin", "expires_at": "99999999999"}
"""The context that the authorizer returns for an Admin's token."""


def make_caller(name: str) -> dict[str, str]:
    """Return the context that the authorizer returns for a User's token."""
    return {**ADMIN, "subject": name, "role": "User"}


@dataclass(frozen=True)
class ApiResponse:
    """What the gateway would send to the client."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, with exact decimals."""
        return json.loads(self.text, parse_float=Decimal)


def make_event(
    method: str,
    route: str,
    *,
    path: dict[str, str] | None = None,
    body: str | None = None,
    query: dict[str, list[str]] | None = None,
    headers: Mapping[str, str | list[str]] | None = None,
    encoded: bool = False,
    request_id: str = REQUEST_ID,
    caller: dict[str, str] | None = ADMIN,
    at: str | None = None,
) -> dict[str, Any]:
    """Make a proxy event as API Gateway does: absent parts are null, and of a header's lines `headers` has the last."""
    lines = {name: [value] if isinstance(value, str) else value for name, value in (headers or {}).items()}
    return {
        "resource": route,
        "path": at or route,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in lines.items()},
        "multiValueHeaders": lines,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": query,
        "pathParameters": path,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route,
            "httpMethod": method,
            "requestId": request_id,
            "stage": "v1",
            "identity": {"sourceIp": ADDRESS},
            **({} if caller is None else {"authorizer": caller}),
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def call(method: str, route: str, **parts: Any) -> ApiResponse:
    """Send a request to the function."""
    answer = handler(make_event(method, route, **parts), None)
    # Lambda serialises the answer: what does not survive that is a 502 at the gateway.
    answer = json.loads(json.dumps(answer))
    return ApiResponse(answer["statusCode"], answer["headers"], answer["body"])


def post(route: str, body: Any, **parts: Any) -> ApiResponse:
    """POST `body`, which is text as it is or anything that JSON can say."""
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"content-type": "application/json", **parts.pop("headers", {})}
    return call("POST", route, body=text, headers=headers, **parts)


def encode_base64(text: bytes) -> str:
    """Encode a body as the gateway does one of a binary media type."""
    return base64.b64encode(text).decode()
