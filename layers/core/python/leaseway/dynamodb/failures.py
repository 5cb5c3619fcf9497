"""What a failed write leaves behind: nothing, something, or an open question."""

from enum import Enum

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, of which each failed connection is one
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

CALL_FAILURES = (ClientError, HTTPClientError, ConnectionError)
"""Every way in which a call fails on its way or in DynamoDB."""

PASSING_REASONS = frozenset({"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that pass by themselves: the same transaction may succeed a moment later."""

# DynamoDB answers with these before it writes.
_NOT_WRITTEN = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
_STILL_RUNNING = "TransactionInProgressException"


class FailedWrite(Enum):
    """What a write whose call failed has done."""

    NOT_WRITTEN = "not written"
    """Nothing; it can be sent again."""

    UNCLEAR = "unclear"
    """Perhaps everything: its answer was lost, or the server failed while it worked."""

    REFUSED = "refused"
    """Nothing, and sending it again would not help."""


def classify_failure(failure: Exception) -> FailedWrite:
    """What the write that failed with `failure` has done."""
    if isinstance(failure, ConnectTimeoutError | EndpointConnectionError):
        return FailedWrite.NOT_WRITTEN  # never connected, so nothing was sent
    if not isinstance(failure, ClientError):
        return FailedWrite.UNCLEAR
    code = failure.response["Error"]["Code"]
    if code in _NOT_WRITTEN:
        return FailedWrite.NOT_WRITTEN
    server_failed = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500
    return FailedWrite.UNCLEAR if server_failed or code == _STILL_RUNNING else FailedWrite.REFUSED
