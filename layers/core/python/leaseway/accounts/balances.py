"""Balances: each change is one conditional write, and a lost answer never debits twice."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError

from leaseway import clock
from leaseway.accounts.model import Account, AccountModel, EntryAttribute, account_from_item
from leaseway.errors import ConflictError, NotFoundError, OutcomeUnknownError, UnavailableError
from leaseway.table import ConditionRefusedError

Answer = TypeVar("Answer")

_TRIES = 4
_FIRST_WAIT_SECONDS = 0.05

# DynamoDB answers these before it writes: the change can be sent again.
_NOT_WRITTEN = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)


class AccountNotFoundError(NotFoundError):
    """No such user."""

    code = "USER_NOT_FOUND"


class UserExistsError(ConflictError):
    """There is already an account of this user."""

    code = "USER_EXISTS"


class InsufficientFundsError(ConflictError):
    """The balance would fall below zero; nothing was changed."""

    code = "INSUFFICIENT_FUNDS"

    def __init__(self, balance: int) -> None:
        super().__init__(balance=balance)
        self.balance = balance


def get_account(user_id: str) -> Account:
    """The account of a user. One consistent read: one read unit.

    Raises:
        AccountNotFoundError: no such user.
    """
    item = AccountModel.read(user_id)
    if item is None:
        raise AccountNotFoundError(user_id=user_id)
    return account_from_item(item)


def create_account(user_id: str, opening_balance: int = 0, *, request_id: str, actor: str | None = None) -> Account:
    """Open an account with a balance in minor units (zero or more). One write unit.

    Raises:
        UserExistsError: the user has one; it is not touched.
        OutcomeUnknownError: the answer was lost, and the account that is there is not this request's.
        UnavailableError: DynamoDB did not take the write; nothing was changed.
    """
    now = clock.now_ms()
    entry = EntryAttribute(amount=opening_balance, kind="opening", request_id=request_id, actor=actor, at=now)
    item = AccountModel(user_id, balance=opening_balance, version=1, created_at=now, updated_at=now, last_entry=entry)

    def write() -> Account:
        AccountModel.insert(item)
        return Account(user_id, opening_balance, 1, now, now, request_id)

    try:
        return _written_once(write, user_id, request_id)
    except ConditionRefusedError:
        raise UserExistsError(user_id=user_id) from None


def change_balance(
    user_id: str, amount: int, *, request_id: str, reference: str | None = None, actor: str | None = None
) -> Account:
    """Add `amount` (minor units, may be negative) to the balance of `user_id`, atomically.

    One conditional UpdateItem: one write unit whether it is granted or refused, no read. `request_id` is this
    request's own and never reused: it tells after a lost answer whether the change was made.

    Raises:
        AccountNotFoundError: no such user.
        InsufficientFundsError: the balance would fall below zero; carries the balance that refused it.
        OutcomeUnknownError: the answer was lost and the account's last change is not this one.
        UnavailableError: DynamoDB did not take the write; nothing was changed.
    """
    now = clock.now_ms()
    entry = EntryAttribute(
        amount=amount, kind="update", request_id=request_id, reference=reference, actor=actor, at=now
    )
    account_exists = AccountModel.user_id.exists()
    stays_non_negative = AccountModel.balance >= -amount
    actions = [
        AccountModel.balance.add(amount),
        AccountModel.version.add(1),
        AccountModel.updated_at.set(now),
        AccountModel.last_entry.set(entry),
    ]

    def write() -> Account:
        return account_from_item(AccountModel.change(user_id, actions, account_exists & stays_non_negative))

    try:
        return _written_once(write, user_id, request_id)
    except ConditionRefusedError as refusal:
        if refusal.item is None:
            raise AccountNotFoundError(user_id=user_id) from None
        raise InsufficientFundsError(account_from_item(refusal.item).balance) from None


def _written_once(write: Callable[[], Account], user_id: str, request_id: str) -> Account:
    """Repeat `write` only where nothing can have been written; look once where that is unclear.

    An unclear outcome, drawn (the SDK itself never repeats this write):

        we        --UpdateItem-->  DynamoDB: applied        --answer lost-->  we: last_entry is ours: it succeeded
        we        --UpdateItem-->  (lost)                                     we: last_entry is another's: 503
    """
    for attempt in range(_TRIES):
        try:
            return write()
        except (ConnectTimeoutError, EndpointConnectionError):
            pass  # never connected, so nothing was sent
        except HTTPClientError as lost:
            return _find_own_change(user_id, request_id, lost)
        except ClientError as refused:
            if refused.response["Error"]["Code"] not in _NOT_WRITTEN:
                if refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) < 500:
                    raise
                return _find_own_change(user_id, request_id, refused)
        time.sleep(random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt))  # noqa: S311 - jitter, not a secret
    raise UnavailableError(f"the table did not take the write in {_TRIES} tries; nothing was changed")


def _find_own_change(user_id: str, request_id: str, cause: Exception) -> Account:
    item = AccountModel.read(user_id)
    if item is not None and (account := account_from_item(item)).last_request_id == request_id:
        return account
    raise OutcomeUnknownError(request_id=request_id) from cause
