"""Locks a name after a few failed sign-ins, each further failure for twice as long.

Failures are counted in DynamoDB, so the lock holds across all instances, and for unknown names too: a guesser learns
nothing from being locked out. A right password succeeds only if the name is not locked at that moment, so concurrent
guesses gain nothing over sequential ones:

    guess 1..n (wrong)  --failure, by condition on the count--> locked
    guess n+1 (right)   --checked concurrently--> success is a write on condition "not locked": refused
"""

import math

import msgspec

from leaseway import clock
from leaseway.dynamodb.repetition import decide_until_written
from leaseway.dynamodb.table import ConditionRefusedError, Item, Part
from leaseway.errors import LeasewayError, UnavailableError
from leaseway.identity.model import AttemptsModel
from leaseway.settings import settings

_FORGOTTEN_AFTER_MS = 86_400_000
_TRIES = 25


class LockedOutError(LeasewayError):
    """Too many attempts: try again later."""

    code = "LOCKED_OUT"

    def __init__(self, wait_ms: int) -> None:
        super().__init__(retry_after=max(1, math.ceil(wait_ms / 1000)))
        self.wait_ms = wait_ms


class Attempts(msgspec.Struct, frozen=True):
    """Failures since the last success, and until when (ms since the epoch) the name is locked."""

    failures: int = 0
    locked_until: int = 0


def check_unlocked(username: str) -> Attempts:
    """Return the attempts so far if the name is not locked. One consistent read.

    Raises:
        LockedOutError: the name is locked now.
    """
    return _require_unlocked(_to_attempts(AttemptsModel.read(_key(username))))


def record_failure(username: str, seen: Attempts) -> Attempts:
    """Count a failure after `seen`. One write, or a few if others fail at the same time.

    Raises:
        LockedOutError: concurrent failures locked the name; this one is not counted.
        UnavailableError: too many concurrent attempts.
    """

    def record() -> Attempts | None:
        nonlocal seen
        failures = seen.failures + 1
        counted = Attempts(failures, clock.now_ms() + _delay_ms(failures))
        try:
            _count(username, seen, counted)
        except ConditionRefusedError as refusal:
            seen = _require_unlocked(_to_attempts(refusal.item))
            return None
        return counted

    return decide_until_written(record, tries=_TRIES, gives_up=UnavailableError("too many attempts at once"))


def clear_failures(username: str) -> None:
    """Forget the failures. One write.

    Raises:
        LockedOutError: concurrent failures locked the name; this success does not count.
    """
    not_locked = AttemptsModel.key.does_not_exist() | (AttemptsModel.locked_until <= clock.now_ms())
    try:
        AttemptsModel.remove(_key(username), not_locked)
    except ConditionRefusedError as refusal:
        attempts = _to_attempts(refusal.item)
        raise LockedOutError(attempts.locked_until - clock.now_ms()) from None


def forget(username: str) -> None:
    """Forget the failures, locked or not. One write."""
    AttemptsModel.remove(_key(username), AttemptsModel.key.exists() | AttemptsModel.key.does_not_exist())


def forget_part(username: str) -> Part:
    """Forget the failures, locked or not, as a part of a transaction."""
    return AttemptsModel.remove_part(_key(username))


def _count(username: str, seen: Attempts, counted: Attempts) -> None:
    count_unchanged = AttemptsModel.failures == seen.failures
    forgotten = AttemptsModel.expires_at <= clock.now_ms() // 1000
    first = AttemptsModel.key.does_not_exist() | forgotten
    actions = [
        AttemptsModel.failures.set(counted.failures),
        AttemptsModel.locked_until.set(counted.locked_until),
        AttemptsModel.expires_at.set((max(counted.locked_until, clock.now_ms()) + _FORGOTTEN_AFTER_MS) // 1000),
    ]
    AttemptsModel.change(_key(username), actions, count_unchanged if seen.failures else first)


def _delay_ms(failures: int) -> int:
    limits = settings()
    beyond = failures - limits.lockout_after
    if beyond < 0:
        return 0
    return min(limits.lockout_cap_seconds, limits.lockout_seconds << min(beyond, 20)) * 1000


def _require_unlocked(attempts: Attempts) -> Attempts:
    wait_ms = attempts.locked_until - clock.now_ms()
    if wait_ms > 0:
        raise LockedOutError(wait_ms)
    return attempts


def _to_attempts(item: Item | None) -> Attempts:
    if item is None or int(item["expires_at"]["N"]) * 1000 <= clock.now_ms():
        return Attempts()
    return Attempts(int(item["failures"]["N"]), int(item["locked_until"]["N"]))


def _key(username: str) -> str:
    return f"attempts#{username}"
