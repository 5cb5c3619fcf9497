"""Changes accounts in one transaction that succeeds only if they still have the versions that were read.

we       read alice v7, bob v3 -> decide -> {alice: v7 -> v8, bob: v3 -> v4}    both or neither
another  alice v7 -> v8 in between: ours is cancelled and returns alice v8 -> decide again, without a read
"""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec
from pynamodb.expressions.condition import Condition

from leaseway import clock, metrics
from leaseway.accounts.model import Account, AccountModel, account_from_item, new_item
from leaseway.accounts.postings import Accounts, Origin, Posting, entry_attribute
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    find_refusing_account,
    is_recorded,
    rebuild_refusal,
)
from leaseway.dynamodb.failures import CALL_FAILURES, PASSING_REASONS, FailedWrite, classify_failure
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError, transact
from leaseway.errors import LeasewayError, OutcomeUnknownError, RepeatableOutcomeUnknownError, UnavailableError
from leaseway.idempotency import KeyedRequest

PATIENCE_SECONDS = 5.0
"""How long a settlement is repeated while other requests change the same accounts."""

_GRANTED, _REFUSED = "BalanceUpdatesGranted", "BalanceUpdatesRefused"
_REFUSALS = (AccountNotFoundError, InsufficientFundsError, BalanceLimitError)
_BACKOFF = Backoff(first=0.02, longest=0.4)
_REPEATABLE_REASONS = PASSING_REASONS | {"ConditionalCheckFailed"}


class OneTimePut(Protocol):
    """A put of a permanent item, which only the first settlement of its kind can make."""

    def build_part(self, after: Sequence[Account], origin: Origin) -> Part:
        """Build the put; its condition refuses it if the item exists."""

    def build_refusal(self, item: Item) -> LeasewayError:
        """Build the error of a settlement that finds the item of an earlier one."""

    def read_change_id(self, item: Item) -> str:
        """Return the id of the change that put the item."""


class SettlementAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a settlement: the accounts after it, or a refusal. Stored as JSON under an idempotency key."""

    accounts: list[Account] = []
    refusal: str | None = None
    facts: dict[str, int | str] = {}

    def unwrap(self) -> list[Account]:
        """Return the accounts in the order of the postings, or raise the refusal."""
        if self.refusal is not None:
            raise rebuild_refusal(self.refusal, self.facts)
        return self.accounts


class _Refusals(NamedTuple):
    """The reason of each part of a cancelled plan; `record` and `once` are None if the plan has no such part."""

    record: Reason | None
    accounts: dict[str, Reason]
    once: Reason | None

    @property
    def accounts_now(self) -> dict[str, Account | None]:
        """The accounts that are not as they were read, as they are now; None if there is no account."""
        refused = {user: reason.item for user, reason in self.accounts.items() if reason.refused}
        return {user: account_from_item(item) if item else None for user, item in refused.items()}


class _SettlementPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction to send, and the answer to give once it is committed."""

    answer: SettlementAnswer
    token: str
    metric: str | None
    """Counts the settlement once it is committed."""
    record: Part | None
    accounts: dict[str, Part]
    once: Part | None = None

    @property
    def parts(self) -> list[Part]:
        """All parts, in the order in which `refusals_in` reads their reasons."""
        return [part for part in (self.record, *self.accounts.values(), self.once) if part]

    def refusals_in(self, cancelled: TransactionCancelledError) -> _Refusals:
        """Assign the reasons of a cancellation to the parts of this plan."""
        reasons = iter(cancelled.reasons)
        # One statement per kind of part, in the order of `parts`: each takes the next reasons.
        record = next(reasons, None) if self.record else None
        accounts = dict(zip(self.accounts, reasons, strict=False))
        once = next(reasons, None) if self.once else None
        return _Refusals(record, accounts, once)


def settle(  # noqa: PLR0913 - what may be left out is named
    users: Sequence[str],
    decide: Callable[[Accounts], Sequence[Posting]],
    origin: Origin,
    *,
    keyed: KeyedRequest | None = None,
    once: OneTimePut | None = None,
    read: bool = True,
) -> list[Account]:
    """Make the postings that `decide` returns, all of them or none; returns each account after its posting.

    `decide` gets the accounts by user id. It is called again whenever one of them has changed, and raises to refuse:

        def move_ten(accounts: Accounts) -> list[Posting]:
            return [
                check_posting(accounts, Posting(user_id="alice", amount=-10, kind="update")),
                check_posting(accounts, Posting(user_id="bob", amount=10, kind="update")),
            ]

        alice, bob = settle(["alice", "bob"], move_ten, Origin(request_id=request_id))

    If alice has 4, `check_posting` raises InsufficientFundsError, and so does `settle`. If another request pays her
    between the read and the write, the transaction is cancelled and `move_ten` decides again on her new balance.

    `keyed` stores the answer, a refusal too, for repeats of the request; `once` allows one such settlement for ever.

    One consistent read per account (with `read` False none: the accounts are presumed absent) and one transaction of
    one item per account, one for `keyed` and one for `once`. A refusal without `keyed` costs no write.

    Raises:
        LeasewayError: what `decide` raised, now or when the keyed request came first.
        KeyReusedError: the key belongs to another request.
        UnavailableError: other requests kept changing the accounts, or DynamoDB took no write; nothing was changed.
        OutcomeUnknownError: the answer was lost.
    """
    settlement = _Settlement(decide, origin, keyed, once)
    settlement.accounts = {user: settlement.read(user) if read else None for user in users}
    return settlement.run().unwrap()


class _Settlement:
    """A settlement in progress: the accounts as last read, and the time left to repeat it."""

    def __init__(
        self,
        decide: Callable[[Accounts], Sequence[Posting]],
        origin: Origin,
        keyed: KeyedRequest | None,
        once: OneTimePut | None,
    ) -> None:
        self.accounts: dict[str, Account | None] = {}
        self._decide = decide
        self._origin = origin
        self._keyed = keyed
        self._once = once
        self._gives_up_at = time.monotonic() + PATIENCE_SECONDS
        self._pauses = 0
        self._outcome_unclear = False
        self._sent_after_deadline = False

    def read(self, user_id: str) -> Account | None:
        """Read the account consistently; a read that fails on the way is repeated."""
        while True:
            try:
                item = AccountModel.read(user_id)
            except CALL_FAILURES as failure:
                self._pause_after(failure)
                self._outcome_unclear = False  # a read changes nothing
            else:
                return account_from_item(item) if item else None

    def run(self) -> SettlementAnswer:
        """Plan and send, and after each cancellation again, until a transaction is committed."""
        plan = self._plan()
        while True:
            try:
                transact(plan.parts, plan.token)
            except TransactionCancelledError as cancelled:
                refusals = plan.refusals_in(cancelled)
                if earlier_answer := self._find_earlier_answer(plan, refusals):
                    return earlier_answer
                # If no account has changed, the same plan goes out again under the same token.
                plan = self._plan() if self._adopt_changes(refusals, cancelled) else plan
                self._pause()
            except CALL_FAILURES as failure:
                # The same plan and token again: if it was applied already, it is not applied twice.
                self._pause_after(failure)
            else:
                _count(plan.metric)
                return plan.answer

    def _plan(self) -> _SettlementPlan:
        self._outcome_unclear = False  # an account has changed, so no earlier plan can still be applied
        try:
            postings = self._decide(self.accounts)
        except LeasewayError as refusal:
            return self._plan_refusal(refusal)
        after = [self._apply(posting) for posting in postings]
        answer = SettlementAnswer(after)
        return _SettlementPlan(
            answer=answer,
            token=uuid.uuid4().hex,
            metric=None if postings[0].kind == "opening" else _GRANTED,
            record=self._build_record(answer),
            accounts={
                posting.user_id: self._build_change(posting, account)
                for posting, account in zip(postings, after, strict=True)
            },
            once=self._once.build_part(after, self._origin) if self._once else None,
        )

    def _plan_refusal(self, refusal: LeasewayError) -> _SettlementPlan:
        """Plan to record a refusal, on condition that the account that refused is as read; raise it if not recorded.

        No other account takes part: a sender without money must not be able to lock a stranger's account.
        """
        metric = _REFUSED if isinstance(refusal, _REFUSALS) else None
        if self._keyed is None or not is_recorded(refusal):
            _count(metric)
            raise refusal
        answer = SettlementAnswer(refusal=refusal.code, facts=refusal.facts)
        refusing = find_refusing_account(refusal)
        deciding = [refusing] if refusing in self.accounts else list(self.accounts)
        return _SettlementPlan(
            answer=answer,
            token=uuid.uuid4().hex,
            metric=metric,
            record=self._build_record(answer),
            accounts={user: AccountModel.check_part(user, self._is_unchanged(user)) for user in deciding},
        )

    def _build_record(self, answer: SettlementAnswer) -> Part | None:
        return self._keyed.record(msgspec.json.encode(answer).decode()) if self._keyed else None

    def _apply(self, posting: Posting) -> Account:
        account = self.accounts[posting.user_id]
        now = clock.now_ms()
        if account is None:
            return Account(posting.user_id, posting.amount, 1, now, now, self._origin.change_id, posting.owner)
        return msgspec.structs.replace(
            account,
            balance=account.balance + posting.amount,
            version=account.version + 1,
            updated_at=max(now, account.updated_at),
            last_change_id=self._origin.change_id,
        )

    def _build_change(self, posting: Posting, after: Account) -> Part:
        entry = entry_attribute(posting, self._origin, after.updated_at)
        if self.accounts[posting.user_id] is None:
            return AccountModel.put_part(new_item(after, entry), self._is_unchanged(posting.user_id))
        actions = [
            AccountModel.balance.set(after.balance),
            AccountModel.version.set(after.version),
            AccountModel.updated_at.set(after.updated_at),
            AccountModel.last_entry.set(entry),
        ]
        return AccountModel.change_part(posting.user_id, actions, self._is_unchanged(posting.user_id))

    def _is_unchanged(self, user_id: str) -> Condition:
        account = self.accounts[user_id]
        return AccountModel.user_id.does_not_exist() if account is None else AccountModel.version == account.version

    def _find_earlier_answer(self, plan: _SettlementPlan, refusals: _Refusals) -> SettlementAnswer | None:
        """Find the answer recorded under this key, or this change's own if it was committed but its answer lost."""
        if self._keyed and (record := _refusing_item(refusals.record)):
            return msgspec.json.decode(self._keyed.replay(record), type=SettlementAnswer)
        change_id = self._origin.change_id
        if any(account and account.last_change_id == change_id for account in refusals.accounts_now.values()):
            return plan.answer
        if self._once and (item := _refusing_item(refusals.once)):
            if self._once.read_change_id(item) != change_id:
                raise self._once.build_refusal(item)
            return plan.answer
        return None

    def _adopt_changes(self, refusals: _Refusals, cancelled: TransactionCancelledError) -> bool:
        """Replace the accounts that have changed by what the cancellation returned; False if none has."""
        if not {reason.code for reason in cancelled.reasons} <= _REPEATABLE_REASONS:
            raise cancelled
        changed = refusals.accounts_now
        self.accounts |= changed
        metrics.note("BalanceUpdatesConflicted")
        return bool(changed)

    def _pause_after(self, failure: Exception) -> None:
        match classify_failure(failure):
            case FailedWrite.REFUSED:
                raise failure
            case FailedWrite.UNCLEAR:
                self._outcome_unclear = True
        self._pause()

    def _pause(self) -> None:
        if time.monotonic() >= self._gives_up_at:
            # A lost answer is looked for once more, however long the lost call took.
            if not self._outcome_unclear or self._sent_after_deadline:
                raise self._build_give_up_error()
            self._sent_after_deadline = True
        _BACKOFF.pause(self._pauses)
        self._pauses += 1

    def _build_give_up_error(self) -> LeasewayError:
        request_id = self._origin.request_id
        if not self._outcome_unclear:
            return UnavailableError("the accounts are busy; nothing was changed")
        return (RepeatableOutcomeUnknownError if self._keyed else OutcomeUnknownError)(request_id=request_id)


def _refusing_item(reason: Reason | None) -> Item | None:
    return reason.item if reason and reason.refused else None


def _count(metric: str | None) -> None:
    if metric:
        metrics.note(metric)
