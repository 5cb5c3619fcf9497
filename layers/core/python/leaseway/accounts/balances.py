"""Reads and changes balances: one conditional write per change, and a lost answer never debits twice."""

from collections.abc import Callable

from leaseway import clock, metrics
from leaseway.accounts.model import Account, AccountModel, account_from_item, new_item
from leaseway.accounts.plans import OneTimePut
from leaseway.accounts.postings import Accounts, Origin, Posting, entry_attribute
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    UserExistsError,
)
from leaseway.accounts.settlement import settle
from leaseway.dynamodb.failures import CALL_FAILURES
from leaseway.dynamodb.repetition import WriteUnclearError, repeat_if_unwritten
from leaseway.dynamodb.table import ConditionRefusedError
from leaseway.errors import OutcomeUnknownError
from leaseway.idempotency import IdempotencyKey, KeyedRequest
from leaseway.settings import settings

_TRIES = 4


def get_account(user_id: str, *, owner: str | None) -> Account:
    """Return the account of a user. One consistent read: one read unit.

    A user sees only their own account: any other reads as absent, without a read. `owner` None (an Admin) sees all.

    Raises:
        AccountNotFoundError: no such user, or not the owner.
    """
    check_owner(user_id, owner)
    item = AccountModel.read(user_id)
    if item is None:
        raise AccountNotFoundError(user_id=user_id)
    return account_from_item(item)


def check_owner(user_id: str, owner: str | None) -> None:
    """Allow a user to see only their own account; None (an Admin) sees all. No read.

    Raises:
        AccountNotFoundError: the account belongs to another user, whether it exists or not.
    """
    if owner not in (None, user_id):
        raise AccountNotFoundError(user_id=user_id)


def create_account(  # noqa: PLR0913 - all but the first two are named
    user_id: str,
    opening_balance: int = 0,
    *,
    request_id: str,
    actor: str | None = None,
    key: IdempotencyKey | None = None,
    owner: str | None = None,
    guard: OneTimePut | None = None,
) -> Account:
    """Open an account with a balance in minor units (zero or more). `owner` is stored with it.

    One write unit. With a key one transaction of two items, no read, and the first answer at every repeat. `guard` is a
    further item of a transaction, whose condition can refuse the opening.

    Raises:
        UserExistsError: the user has one, which stays as it is.
        BalanceLimitError: the opening balance is more than an account may hold.
        KeyReusedError: the key belongs to another request.
        OutcomeUnknownError: the answer was lost, and the account that is there is not this request's.
        UnavailableError: DynamoDB did not take the write; nothing was changed.
    """
    if opening_balance > settings().balance_limit:
        raise BalanceLimitError
    opening = Posting(user_id=user_id, amount=opening_balance, kind="opening", owner=owner)
    origin = Origin(request_id=request_id, actor=actor)
    if key is None and guard is None:
        return _open_account(opening, origin)
    content = (user_id, opening_balance) if owner is None else (user_id, opening_balance, owner)
    return settle(
        [user_id],
        lambda accounts: [_check_unopened(accounts, opening)],
        origin,
        keyed=KeyedRequest.of(key, *content) if key else None,
        once=guard,
        read=False,
    )[0]


def change_balance(  # noqa: PLR0913 - all but the first two are named
    user_id: str,
    amount: int,
    *,
    request_id: str,
    reference: str | None = None,
    actor: str | None = None,
    key: IdempotencyKey | None = None,
) -> Account:
    """Add `amount` (minor units, may be negative) to the balance of `user_id`, atomically.

    One conditional UpdateItem: one write unit whether it is granted or refused, no read. With a key one read and one
    transaction of two items, granted, refused or repeated. `request_id` is kept for tracing only.

    Raises:
        AccountNotFoundError: no such user.
        InsufficientFundsError: the balance would fall below zero; carries the balance that refused it.
        BalanceLimitError: the balance would exceed what an account may hold.
        KeyReusedError: the key belongs to another request.
        OutcomeUnknownError: the answer was lost and the account's last change is not this one.
        UnavailableError: DynamoDB did not take the write; nothing was changed.
    """
    change = Posting(user_id=user_id, amount=amount, kind="update")
    origin = Origin(request_id=request_id, reference=reference, actor=actor)
    if key is not None:
        keyed = KeyedRequest.of(key, user_id, amount, reference)
        return settle([user_id], lambda accounts: [check_posting(accounts, change)], origin, keyed=keyed)[0]
    return _change_unread(change, origin)


def check_posting(accounts: Accounts, posting: Posting) -> Posting:
    """Return the posting if its account can take it.

    Raises:
        AccountNotFoundError, InsufficientFundsError, BalanceLimitError: it cannot.
    """
    account = accounts[posting.user_id]
    if account is None:
        raise AccountNotFoundError(user_id=posting.user_id)
    if account.balance + posting.amount < 0:
        raise InsufficientFundsError(account.balance, of=posting.user_id)
    if posting.amount > 0 and account.balance + posting.amount > settings().balance_limit:
        raise BalanceLimitError(of=posting.user_id)
    return posting


def _check_unopened(accounts: Accounts, opening: Posting) -> Posting:
    if accounts[opening.user_id] is not None:
        raise UserExistsError(user_id=opening.user_id)
    return opening


def _open_account(opening: Posting, origin: Origin) -> Account:
    now = clock.now_ms()
    account = Account(opening.user_id, opening.amount, 1, now, now, origin.change_id, opening.owner)
    item = new_item(account, entry_attribute(opening, origin, now))

    def write() -> Account:
        AccountModel.insert(item)
        return account

    try:
        return _write_once(write, opening.user_id, origin)
    except ConditionRefusedError:
        raise UserExistsError(user_id=opening.user_id) from None


def _change_unread(change: Posting, origin: Origin) -> Account:
    now = clock.now_ms()
    account_exists = AccountModel.user_id.exists()
    stays_non_negative = AccountModel.balance >= -change.amount
    stays_within_limit = AccountModel.balance <= settings().balance_limit - change.amount
    stays_in_bounds = stays_non_negative if change.amount < 0 else stays_within_limit
    actions = [
        AccountModel.balance.add(change.amount),
        AccountModel.version.add(1),
        AccountModel.updated_at.set(now),
        AccountModel.last_entry.set(entry_attribute(change, origin, now)),
    ]

    def write() -> Account:
        return account_from_item(AccountModel.change(change.user_id, actions, account_exists & stays_in_bounds))

    try:
        account = _write_once(write, change.user_id, origin)
    except ConditionRefusedError as refusal:
        metrics.note("BalanceUpdatesRefused")
        if refusal.item is None:
            raise AccountNotFoundError(user_id=change.user_id) from None
        if change.amount < 0:
            raise InsufficientFundsError(account_from_item(refusal.item).balance) from None
        raise BalanceLimitError from None
    metrics.note("BalanceUpdatesGranted")
    return account


def _write_once(write: Callable[[], Account], user_id: str, origin: Origin) -> Account:
    """Repeat `write` only if nothing can have been written; if that is unclear, read the account once.

    An unclear outcome, drawn (the SDK itself never repeats this write):

        we        --UpdateItem-->  DynamoDB: applied        --answer lost-->  we: last_entry is ours: it succeeded
        we        --UpdateItem-->  (lost)                                     we: last_entry is another's: 503
    """
    try:
        return repeat_if_unwritten(write, tries=_TRIES)
    except WriteUnclearError as unclear:
        return _find_own_change(user_id, origin, unclear)


def _find_own_change(user_id: str, origin: Origin, cause: Exception) -> Account:
    try:
        item = AccountModel.read(user_id)
    except CALL_FAILURES as failure:
        raise OutcomeUnknownError(request_id=origin.request_id) from failure
    if item is not None and (account := account_from_item(item)).last_change_id == origin.change_id:
        return account
    raise OutcomeUnknownError(request_id=origin.request_id) from cause
