"""Lambda authorizers for LocalStack's REST APIs, which come with its paid image only.

A handler in the chain of each request: it asks the function that the method's TOKEN authorizer names, keeps the
answer for as long as the authorizer says, and gives its context to the integration.
"""

import fnmatch
import json
import re
import time
from threading import Lock
from typing import Any

from localstack.aws.connect import connect_to
from localstack.runtime import hooks
from localstack.services.apigateway.next_gen.execute_api import handlers
from localstack.services.apigateway.next_gen.execute_api.gateway_response import (
    AccessDeniedError,
    AuthorizerFailureError,
    UnauthorizedError,
)

_HEADER = "method.request.header."
_FUNCTION = re.compile(r"/functions/(.+)/invocations$")
_KEPT_ANSWERS = 1_000


@hooks.on_infra_start()
def add_authorizers() -> None:
    """Put the handler into the place that LocalStack keeps for it."""
    handlers.preprocess_request.append(TokenAuthorizers())


class TokenAuthorizers:
    """Decides each request to a method with a TOKEN authorizer."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}
        self._lock = Lock()

    def __call__(self, chain: Any, context: Any, response: Any) -> None:
        """The hook of the chain: refuses by raising one of the gateway's own errors."""
        method = context.resource_method
        if method.get("authorizationType") != "CUSTOM":
            return
        authorizer = context.deployment.rest_api.authorizers[method["authorizerId"]]
        token = context.invocation_request["headers"].get(authorizer["identitySource"].removeprefix(_HEADER))
        pattern = authorizer.get("identityValidationExpression")
        if not token or (pattern and not re.fullmatch(pattern, token)):
            raise UnauthorizedError("Unauthorized")
        arn = _method_arn(context)
        answer = self._answer(context, authorizer, token, arn)
        if not _allows(answer["policyDocument"], arn):
            raise AccessDeniedError("User is not authorized to access this resource")
        told = {name: _as_text(value) for name, value in (answer.get("context") or {}).items()}
        context.context_variables["authorizer"] = told | {"principalId": answer["principalId"]}

    def _answer(self, context: Any, authorizer: dict[str, Any], token: str, arn: str) -> dict[str, Any]:
        key = (context.api_id, context.deployment_id, context.stage, authorizer["id"], token)
        kept = self._answers.get(key)
        if kept and time.monotonic() < kept[0]:
            return kept[1]
        answer = _ask(context, authorizer, token, arn)
        with self._lock:
            if len(self._answers) >= _KEPT_ANSWERS:
                self._answers.clear()
            self._answers[key] = time.monotonic() + int(authorizer["authorizerResultTtlInSeconds"]), answer
        return answer


def _ask(context: Any, authorizer: dict[str, Any], token: str, arn: str) -> dict[str, Any]:
    found = _FUNCTION.search(authorizer["authorizerUri"])
    event = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
    client = connect_to(aws_access_key_id=context.account_id, region_name=context.region).lambda_
    try:
        outcome = client.invoke(FunctionName=found[1], Payload=json.dumps(event))  # type: ignore[index]
        document = json.load(outcome["Payload"])
    except Exception as problem:
        raise AuthorizerFailureError(None) from problem
    if outcome.get("FunctionError"):
        if document.get("errorMessage") == "Unauthorized":  # how a function says so
            raise UnauthorizedError("Unauthorized")
        raise AuthorizerFailureError(None)
    return dict(document)


def _method_arn(context: Any) -> str:
    request = context.invocation_request
    place = f"arn:aws:execute-api:{context.region}:{context.account_id}:{context.api_id}/{context.stage}"
    return f"{place}/{request['http_method']}{request['path']}"


def _allows(policy: dict[str, Any], arn: str) -> bool:
    decided = [entry["Effect"] for entry in policy["Statement"] if _names(entry["Resource"], arn)]
    return "Allow" in decided and "Deny" not in decided


def _names(resources: Any, arn: str) -> bool:
    listed = resources if isinstance(resources, list) else [resources]
    return any(fnmatch.fnmatchcase(arn, resource) for resource in listed)


def _as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
