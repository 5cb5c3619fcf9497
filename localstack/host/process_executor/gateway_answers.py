"""A REST API's own answers, such as 404 for an unknown path, as its gateway responses describe them.

LocalStack keeps `responseTemplates` and `responseParameters` and makes no use of them.
"""

import re
from typing import Any

from localstack.http import Response
from localstack.runtime import hooks
from localstack.services.apigateway.next_gen.execute_api import handlers
from localstack.services.apigateway.next_gen.execute_api.gateway_response import get_gateway_response_or_default
from localstack.services.apigateway.next_gen.execute_api.handlers.gateway_exception import GatewayExceptionHandler

_JSON = "application/json"
_HEADER = "gatewayresponse.header."
_VARIABLE = re.compile(r"\$context\.([\w.]+)")


@hooks.on_infra_start()
def add_gateway_answers() -> None:
    """Put the handler in the place of LocalStack's own, before a gateway is made."""
    handlers.gateway_exception_handler = DescribedAnswers()


class DescribedAnswers(GatewayExceptionHandler):
    """Answers a refusal with the template and the headers of its gateway response."""

    def create_exception_response(self, exception: Any, context: Any) -> Any:
        """LocalStack's answer, with what the API says of it."""
        plain = super().create_exception_response(exception, context)
        described = get_gateway_response_or_default(exception.type, context.deployment.rest_api.gateway_responses)
        template = (described.get("responseTemplates") or {}).get(_JSON)
        if described.get("defaultResponse") or not template:
            return plain
        variables = context.context_variables
        answer = Response(_VARIABLE.sub(lambda found: _value(variables, found[1]), template), plain.status_code)
        answer.headers["Content-Type"] = _JSON
        for name, value in (described.get("responseParameters") or {}).items():
            answer.headers[name.removeprefix(_HEADER)] = _header(variables, value)
        return answer


def _header(variables: dict[str, Any], value: str) -> str:
    return value.strip("'") if value.startswith("'") else _value(variables, value.removeprefix("context."))


def _value(variables: Any, path: str) -> str:
    for name in path.split("."):
        variables = (variables or {}).get(name)
    return "" if variables is None else str(variables)
