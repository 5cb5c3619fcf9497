"""Transactions on users, repeated while other requests are in their way."""

from collections.abc import Sequence

from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_with_retries
from leaseway.errors import UnavailableError

_TRIES = 6
_BACKOFF = Backoff(first=0.05)


def write_all(parts: Sequence[Part]) -> None:
    """Write all parts or none: two write units per part, again for each try that is in another transaction's way.

    Raises:
        TransactionCancelledError: a condition was false; nothing was written.
        UnavailableError: other requests kept changing the same items, or DynamoDB took no write.
        OutcomeUnknownError: the answer was lost.
    """
    for _ in _BACKOFF.attempts(_TRIES):
        try:
            return transact_with_retries(parts)
        except TransactionCancelledError as cancelled:
            if not cancelled.is_passing:
                raise
    raise UnavailableError("other requests keep changing this user; nothing was changed")
