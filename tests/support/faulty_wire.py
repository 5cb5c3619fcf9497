"""Faults between Leaseway and DynamoDB: calls dropped, repeated or overtaken, and answers lost."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from leaseway import aws

Interceptor = Callable[..., Any]
"""Called with the call, and with its request too if it takes two arguments."""


@contextmanager
def intercept_calls(interceptor: Interceptor, *operations: str, attempts: int = 1) -> Iterator[list[str]]:
    """Pass every call of these operations on a client to `interceptor`; yield the names of all calls.

    `attempts` names the client; by default it is the accounts', which repeats nothing.
    """
    client = aws.client("dynamodb", attempts=attempts)
    original, calls = client._make_api_call, []
    wants_request = len(inspect.signature(interceptor).parameters) == 2

    def intercept(name: str, request: dict[str, Any]) -> Any:
        calls.append(name)
        if name not in operations:
            return original(name, request)
        call = lambda: original(name, request)  # noqa: E731
        return interceptor(call, request) if wants_request else interceptor(call)

    client._make_api_call = intercept
    try:
        yield calls
    finally:
        client._make_api_call = original


@contextmanager
def lose_first_answer(operation: str, *, attempts: int = 3) -> Iterator[list[str]]:
    """Lose the answer to the first call of that operation after it was applied, so that it is sent again.

    `attempts` names the client. Yields the operations that were sent, repeats included.
    """
    client: Any = aws.client("dynamodb", attempts=attempts)
    original, sent = client._endpoint._do_get_response, []

    def lose(request: Any, operation_model: Any, context: Any) -> Any:
        sent.append(operation_model.name)
        answer = original(request, operation_model, context)
        is_first = sent.count(operation) == 1 and operation_model.name == operation
        return (None, ConnectionClosedError(endpoint_url=request.url)) if is_first else answer

    client._endpoint._do_get_response = lose
    try:
        yield sent
    finally:
        client._endpoint._do_get_response = original


def make_client_error(code: str, status: int, operation: str = "UpdateItem") -> ClientError:
    """Make DynamoDB's error of that code and HTTP status."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def make_cancellation(*codes: str) -> ClientError:
    """Make the error of a transaction cancelled for these reasons, one per part."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": code} for code in codes],
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(response, "TransactWriteItems")
