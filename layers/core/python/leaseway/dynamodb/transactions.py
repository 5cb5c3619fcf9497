"""Transactions: several conditional writes, all of them or none."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from botocore.exceptions import ClientError

from leaseway import aws
from leaseway.dynamodb.failures import PASSING_REASONS
from leaseway.dynamodb.repetition import repeat_until_answered
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Item, Part
from leaseway.errors import UnavailableError

_TRIES = 6
_BACKOFF = Backoff(first=0.02)

_Outcome = TypeVar("_Outcome")


class Reason(NamedTuple):
    """Why a part stopped its transaction ("None" if it did not), and the item that refused it."""

    code: str
    item: Item | None

    @property
    def refused(self) -> bool:
        """The part's condition was false."""
        return self.code == "ConditionalCheckFailed"


class TransactionCancelledError(Exception):
    """None of a transaction's parts was written. Carries the reason of each part, in order."""

    def __init__(self, reasons: list[Reason]) -> None:
        super().__init__("transaction cancelled: " + ", ".join(reason.code for reason in reasons))
        self.reasons = reasons

    @property
    def is_passing(self) -> bool:
        """Other transactions or throttling stopped it: the same transaction may succeed a moment later."""
        return {reason.code for reason in self.reasons} <= PASSING_REASONS


def transact(parts: Sequence[Part], token: str) -> None:
    """Write all parts or none: one TransactWriteItems, two write units per part and KB, even if it is cancelled.

    `token` (up to 36 characters) identifies the transaction: for ten minutes, sending it again writes nothing and
    answers as the first time. The SDK does not repeat it; the caller decides.

    Raises:
        TransactionCancelledError: nothing was written; carries the reasons and the items that refused.
        botocore.exceptions.ClientError: DynamoDB refused for another reason.
        botocore.exceptions.BotoCoreError: no answer.
    """
    items: list[Any] = list(parts)
    try:
        aws.client("dynamodb", attempts=1).transact_write_items(TransactItems=items, ClientRequestToken=token)
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        reasons = cast("list[dict[str, Any]]", failure.response.get("CancellationReasons", []))
        raise TransactionCancelledError([Reason(r.get("Code", "None"), r.get("Item")) for r in reasons]) from None


def transact_with_retries(parts: Sequence[Part]) -> None:
    """Send a transaction, and again under the same token while its answer is lost or DynamoDB throttles.

    The token makes the repetition safe: what was written already is not written twice.

    Raises:
        TransactionCancelledError: as `transact`; a cancelled transaction is not repeated.
        UnavailableError: DynamoDB accepted none of the tries; nothing was written.
        OutcomeUnknownError: an answer was lost and none came later.
        botocore.exceptions.ClientError: DynamoDB refused for another reason.
    """
    token = uuid.uuid4().hex
    repeat_until_answered(lambda: transact(parts, token))


def transact_until_settled(
    plan: Callable[[], Sequence[Part]],
    judge: Callable[[TransactionCancelledError], _Outcome | None],
    *,
    tries: int = _TRIES,
    busy: str = "others change the same items; try again",
) -> _Outcome | None:
    """Plan a transaction and send it, and again after each cancellation, until it is written or needless.

        plan --> sent --> written: returns None
          ^        '--> cancelled --> judge --> its outcome, which is returned
          '-- a pause with jitter <-- None --'

    `plan` is called for each try, so that it can build on the items that `judge` has seen. Without parts nothing is
    sent. A try costs what `transact_with_retries` costs.

    Raises what `judge` and `transact_with_retries` raise, and:
        UnavailableError: each of the tries was cancelled; nothing was written. Its text is `busy`.
    """
    failure: TransactionCancelledError | None = None
    for _ in _BACKOFF.attempts(tries):
        if not (parts := plan()):
            return None
        try:
            transact_with_retries(parts)
        except TransactionCancelledError as cancelled:
            if (outcome := judge(cancelled)) is not None:
                return outcome
            failure = cancelled
        else:
            return None
    raise UnavailableError(busy) from failure
