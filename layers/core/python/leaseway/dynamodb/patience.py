"""How long a transaction is sent again, and how it ends if that does not help."""

from leaseway import clock
from leaseway.dynamodb.failures import FailedWrite, classify_failure
from leaseway.dynamodb.retry import Backoff
from leaseway.errors import LeasewayError, OutcomeUnknownError, RepeatableOutcomeUnknownError, UnavailableError

_BACKOFF = Backoff(first=0.02, longest=0.4)

PATIENCE_SECONDS = 5.0
"""How long a transaction is sent again while other requests change the same items."""


class TransactionPatience:
    """Pauses between the tries of one transaction, until its time is over."""

    def __init__(self, request_id: str, *, keyed: bool) -> None:
        self.outcome_unclear = False
        """Whether an answer was lost, so that the transaction may be committed."""
        self._request_id = request_id
        self._unknown = RepeatableOutcomeUnknownError if keyed else OutcomeUnknownError
        self._gives_up_at = clock.monotonic() + PATIENCE_SECONDS
        self._pauses = 0
        self._sent_after_deadline = False

    def pause_after(self, failure: Exception) -> None:
        """Pause before the next try after a call that failed, or raise as `pause`, or the failure if it is final."""
        match classify_failure(failure):
            case FailedWrite.REFUSED:
                raise failure
            case FailedWrite.UNCLEAR:
                self.outcome_unclear = True
        self.pause()

    def pause(self, backoff: Backoff = _BACKOFF) -> None:
        """Pause before the next try, longer after each.

        Raises:
            UnavailableError: the time is over; nothing was changed.
            OutcomeUnknownError: the time is over, and an answer was lost.
        """
        if clock.monotonic() >= self._gives_up_at:
            # A lost answer is looked for once more, however long the lost call took.
            if not self.outcome_unclear or self._sent_after_deadline:
                raise self.build_give_up_error()
            self._sent_after_deadline = True
        backoff.pause(self._pauses)
        self._pauses += 1

    def build_give_up_error(self) -> LeasewayError:
        """Build the error of a transaction that is not sent again."""
        if self.outcome_unclear:
            return self._unknown(request_id=self._request_id)
        return UnavailableError("the items are busy; nothing was changed")
