"""Writes that are sent until DynamoDB has answered one, or that are decided again after others came first."""

from collections.abc import Callable
from typing import TypeVar

from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.dynamodb.retry import Backoff
from leaseway.errors import LeasewayError, OutcomeUnknownError, UnavailableError

_TRIES = 6
_BACKOFF = Backoff(first=0.02)
_BACKOFF_AFTER_OTHERS = Backoff(first=0.005, longest=0.05)
"""A refused condition shows that another write was made just now: only writers at the same moment are to be spread."""

_T = TypeVar("_T")


def repeat_until_answered(write: Callable[[], _T], *, unknown: type[OutcomeUnknownError] = OutcomeUnknownError) -> _T:
    """Send a write, which is harmless to repeat, up to six times until DynamoDB has answered it.

        lost, then throttled to the end    the first may have been applied: the outcome is unknown
        throttled to the end               nothing was written

    Raises:
        UnavailableError: DynamoDB accepted none of the tries; nothing was written.
        OutcomeUnknownError: an answer was lost and none came later; of the kind `unknown`.
        botocore.exceptions.ClientError: DynamoDB refused for another reason.
    """
    may_be_written = False
    for _ in _BACKOFF.attempts(_TRIES):
        try:
            return write()
        except CALL_FAILURES as failure:
            fate, last = classify_failure(failure), failure
            if fate is FailedWrite.REFUSED:
                raise
            may_be_written |= fate is FailedWrite.UNCLEAR
    if may_be_written:
        raise unknown from last
    raise UnavailableError("DynamoDB took no write; try again") from last


class WriteUnclearError(Exception):
    """A write that must not be repeated may have been applied. Its cause is how the call failed."""


def repeat_if_unwritten(write: Callable[[], _T], *, tries: int = _TRIES) -> _T:
    """Send a write up to so many times, but never again once it may have been applied.

    Raises:
        UnavailableError: DynamoDB accepted none of the tries; nothing was written.
        WriteUnclearError: an answer was lost.
        botocore.exceptions.ClientError: DynamoDB refused for another reason.
    """
    for _ in _BACKOFF.attempts(tries):
        try:
            return write()
        except CALL_FAILURES as failure:
            match classify_failure(failure):
                case FailedWrite.REFUSED:
                    raise
                case FailedWrite.UNCLEAR:
                    raise WriteUnclearError from failure
            last = failure
    raise UnavailableError("the table did not take the write; nothing was changed") from last


def decide_until_written(step: Callable[[], _T | None], *, tries: int, gives_up: LeasewayError) -> _T:
    """Call `step`, which writes what it decides on condition that nothing has changed, until its condition holds.

        step: read, decide, write --> written: its result, which is returned
          ^                      '--> another write came first: None
          '---- a short pause with jitter ----'

    Raises what `step` raises, and `gives_up` if another write came first each time.
    """
    for _ in _BACKOFF_AFTER_OTHERS.attempts(tries):
        if (result := step()) is not None:
            return result
    raise gives_up
