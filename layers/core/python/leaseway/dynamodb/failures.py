"""What a failed call to the accounts table leaves behind: nothing, something, or nobody knows."""

from enum import Enum

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError

CALL_FAILURES = (ClientError, HTTPClientError, ConnectTimeoutError, EndpointConnectionError)
"""Every way in which a call fails on its way, or at DynamoDB."""

# DynamoDB answers these before it writes: the change can be sent again.
_NOT_WRITTEN = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
_STILL_RUNNING = "TransactionInProgressException"


class Fate(Enum):
    """What became of a write whose call failed."""

    NOT_WRITTEN = "not written"
    """It can be sent again."""

    UNCLEAR = "unclear"
    """It may have been written: its answer was lost, or the server failed in the middle."""

    REFUSED = "refused"
    """DynamoDB does not want it, and would not want it again."""


def fate(failure: Exception) -> Fate:
    """What became of the write that failed so."""
    if isinstance(failure, ConnectTimeoutError | EndpointConnectionError):
        return Fate.NOT_WRITTEN  # never connected, so nothing was sent
    if not isinstance(failure, ClientError):
        return Fate.UNCLEAR
    code = failure.response["Error"]["Code"]
    if code in _NOT_WRITTEN:
        return Fate.NOT_WRITTEN
    server_failed = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500
    return Fate.UNCLEAR if server_failed or code == _STILL_RUNNING else Fate.REFUSED
