"""A hand on the wire between Leaseway and DynamoDB: calls dropped, repeated, overtaken, their answers lost."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from leaseway import aws

Meddle = Callable[..., Any]
"""Gets the call, and its request where it takes two arguments."""


@contextmanager
def wire(meddle: Meddle, *operations: str) -> Iterator[list[str]]:
    """Every call of these operations on the accounts' client passes through `meddle`; yields all calls' names."""
    client = aws.client("dynamodb", attempts=1)
    original, calls = client._make_api_call, []
    wants_request = len(inspect.signature(meddle).parameters) == 2

    def through(name: str, request: dict[str, Any]) -> Any:
        calls.append(name)
        if name not in operations:
            return original(name, request)
        call = lambda: original(name, request)  # noqa: E731
        return meddle(call, request) if wants_request else meddle(call)

    client._make_api_call = through
    try:
        yield calls
    finally:
        client._make_api_call = original


@contextmanager
def lost_answer(operation: str, *, attempts: int = 3) -> Iterator[list[str]]:
    """The answer to the first call of that operation is lost after it was applied, so that it is sent again.

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


def refused(code: str, status: int, operation: str = "UpdateItem") -> ClientError:
    """DynamoDB's error of that code and HTTP status."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def cancelled(*codes: str) -> ClientError:
    """A transaction cancelled for these reasons, one a part."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": code} for code in codes],
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(response, "TransactWriteItems")
