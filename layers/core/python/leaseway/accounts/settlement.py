"""Changes accounts in one transaction that succeeds only if they still have the versions that were read.

we       read alice v7, bob v3 -> decide -> {alice: v7 -> v8, bob: v3 -> v4}    both or neither
another  alice v7 -> v8 in between: ours is cancelled and returns alice v8 -> decide again, without a read
"""

import uuid
from collections.abc import Callable, Sequence

import msgspec
from pynamodb.expressions.condition import Condition

from leaseway import clock, metrics
from leaseway.accounts.model import Account, AccountModel, account_from_item, new_item
from leaseway.accounts.plans import OneTimePut, PlanRefusals, TransactionPlan
from leaseway.accounts.postings import Accounts, Origin, Posting, entry_attribute
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    find_refusing_account,
    is_recorded,
    rebuild_refusal,
)
from leaseway.dynamodb.failures import CALL_FAILURES
from leaseway.dynamodb.patience import TransactionPatience
from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact
from leaseway.errors import LeasewayError
from leaseway.idempotency import KeyedRequest

_GRANTED, _REFUSED = "BalanceUpdatesGranted", "BalanceUpdatesRefused"
_REFUSALS = (AccountNotFoundError, InsufficientFundsError, BalanceLimitError)


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


class _SettlementPlan(TransactionPlan, frozen=True, kw_only=True):
    """A transaction to send, and the answer to give once it is committed."""

    answer: SettlementAnswer
    metric: str | None
    """Counts the settlement once it is committed."""


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
        self._patience = TransactionPatience(origin.request_id, keyed=keyed is not None)

    def read(self, user_id: str) -> Account | None:
        """Read the account consistently; a read that fails on the way is repeated."""
        while True:
            try:
                item = AccountModel.read(user_id)
            except CALL_FAILURES as failure:
                self._patience.pause_after(failure)
                self._patience.outcome_unclear = False  # a read changes nothing
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
                plan = self._plan() if self._adopt_changes(refusals) else plan
                self._patience.pause()
            except CALL_FAILURES as failure:
                # The same plan and token again: if it was applied already, it is not applied twice.
                self._patience.pause_after(failure)
            else:
                _count(plan.metric)
                return plan.answer

    def _plan(self) -> _SettlementPlan:
        self._patience.outcome_unclear = False  # an account has changed, so no earlier plan can still be applied
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
            once=self._once.build_part([account.latest_entry for account in after], self._origin)
            if self._once
            else None,
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

    def _find_earlier_answer(self, plan: _SettlementPlan, refusals: PlanRefusals) -> SettlementAnswer | None:
        """Find the answer recorded under this key, or this change's own if it was committed but its answer lost."""
        if self._keyed and (record := refusals.record_now):
            return msgspec.json.decode(self._keyed.replay(record), type=SettlementAnswer)
        change_id = self._origin.change_id
        if any(account and account.last_change_id == change_id for account in refusals.accounts_now.values()):
            return plan.answer
        if self._once and (item := refusals.once_now):
            if self._once.read_change_id(item) != change_id:
                raise self._once.build_refusal(item)
            return plan.answer
        return None

    def _adopt_changes(self, refusals: PlanRefusals) -> bool:
        """Replace the accounts that have changed by what the cancellation returned; False if none has."""
        changed = refusals.accounts_now
        self.accounts |= changed
        metrics.note("BalanceUpdatesConflicted")
        return bool(changed)


def _count(metric: str | None) -> None:
    if metric:
        metrics.note(metric)
