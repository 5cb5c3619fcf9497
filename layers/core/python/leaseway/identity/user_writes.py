"""Transactions on users, repeated while other requests are in their way."""

from collections.abc import Sequence

from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact_until_settled


def write_all(parts: Sequence[Part]) -> None:
    """Write all parts or none: two write units per part, again for each try that is in another transaction's way.

    Raises:
        TransactionCancelledError: a condition was false; nothing was written.
        UnavailableError: other requests kept changing the same items, or DynamoDB took no write.
        OutcomeUnknownError: the answer was lost.
    """
    busy = "other requests keep changing this user; nothing was changed"
    transact_until_settled(lambda: parts, _raise_what_stays, busy=busy)


def _raise_what_stays(cancelled: TransactionCancelledError) -> None:
    if not cancelled.is_passing:
        raise cancelled
