"""Moves an amount between two accounts in one transaction without a read: both change, or neither does.

    sender    ADD balance -amount, version 1   IF it exists and has the amount
    receiver  ADD balance +amount, version 1   IF it exists and may hold the amount

No version is compared, so movements of one account do not invalidate each other. Two of them conflict only while
DynamoDB holds the account's item for one, from its prepare to its commit: milliseconds. The other is sent again.
"""

import uuid

import msgspec
from pynamodb.expressions.condition import Condition

from leaseway import clock, metrics
from leaseway.accounts.model import Account, AccountModel, account_from_item, entry_name
from leaseway.accounts.plans import OneTimePut, PlanRefusals, TransactionPlan
from leaseway.accounts.postings import Origin, Posting, entry_attribute
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    find_refusing_account,
    is_recorded,
    rebuild_refusal,
)
from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.dynamodb.patience import TransactionPatience
from leaseway.dynamodb.retry import Backoff
from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact
from leaseway.errors import LeasewayError
from leaseway.idempotency import KeyedRequest
from leaseway.settings import settings

CONFLICT_BACKOFF = Backoff(first=0.01, longest=0.08)
"""A conflict passes within milliseconds, so an old request waits hardly longer than a new one, and is not starved."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """An amount (minor units, more than zero) to move, and why."""

    sender: str
    receiver: str
    amount: int
    kind: str
    """transfer or reversal."""
    reverses: tuple[str | None, str | None] = (None, None)
    """The names of the entries that the sender's and the receiver's entry reverse."""


class MovementAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a movement: what was made, or a refusal. Stored as JSON under an idempotency key."""

    entries: list[str] = []
    """The names of the two ledger entries, the sender's first."""
    at: int = 0
    balance: int | None = None
    """The sender's balance after it; None until it has been read."""
    refusal: str | None = None
    facts: dict[str, int | str] = {}
    accounts: list[Account] = []
    """What an earlier release recorded: both accounts after the movement."""

    @classmethod
    def parse(cls, text: str) -> "MovementAnswer":
        """Read a recorded answer, also of an earlier release."""
        answer = msgspec.json.decode(text, type=cls)
        if not answer.accounts:
            return answer
        sender = answer.accounts[0]
        names = [account.latest_entry for account in answer.accounts]
        return cls(entries=names, at=sender.updated_at, balance=sender.balance)

    @property
    def text(self) -> str:
        """The answer as it is recorded."""
        return msgspec.json.encode(self).decode()


def move(
    movement: Movement,
    origin: Origin,
    *,
    keyed: KeyedRequest | None = None,
    once: OneTimePut | None = None,
    refusal: LeasewayError | None = None,
) -> MovementAnswer:
    """Move the amount, both accounts or neither; a keyed movement is answered as the first time.

    One transaction of two items, one more for `keyed` and for `once`, and no read. A refused movement is billed like
    one that is made; `keyed` records the refusal by a second transaction, of the record and the account that refused.
    `origin` has a transfer id as its change id. A `refusal` that is known before is recorded or raised first.

    After a lost answer a movement with `keyed` or `once` is sent again, which finds what was committed. One without is
    not: its accounts are read, and show the change unless others have followed.

    Raises:
        AccountNotFoundError, InsufficientFundsError, BalanceLimitError: an account refused, now or the first time.
        LeasewayError: the error of `once`, for a second movement of its kind.
        KeyReusedError: the key belongs to another request.
        UnavailableError: other requests kept the accounts busy, or DynamoDB took no write; nothing was changed.
        OutcomeUnknownError: the answer was lost.
    """
    answer = _MovementRun(movement, origin, keyed, once).run(refusal)
    if answer.refusal is not None:
        raise rebuild_refusal(answer.refusal, answer.facts)
    return answer


class _MovementRun:
    """A movement that is sent until it is committed or refused."""

    def __init__(self, movement: Movement, origin: Origin, keyed: KeyedRequest | None, once: OneTimePut | None) -> None:
        self._movement = movement
        self._origin = origin
        self._keyed = keyed
        self._once = once
        self._patience = TransactionPatience(origin.request_id, keyed=keyed is not None)
        self._answer = MovementAnswer()
        self._metric: str | None = None

    def run(self, refusal: LeasewayError | None) -> MovementAnswer:
        """Send the movement, or the record of its refusal, until one is committed."""
        plan = self._plan_movement() if refusal is None else self._plan_refusal(refusal)
        while True:
            try:
                transact(plan.parts, plan.token)
            except TransactionCancelledError as cancelled:
                refusals = plan.refusals_in(cancelled)
                if earlier := self._find_earlier_answer(refusals):
                    return earlier
                plan = self._plan_again(plan, refusals)
            except CALL_FAILURES as failure:
                if self._is_repeatable or classify_failure(failure) is not FailedWrite.UNCLEAR:
                    self._patience.pause_after(failure)
                else:
                    self._require_own_change(failure)
                    return self._conclude()
            else:
                return self._conclude()

    @property
    def _is_repeatable(self) -> bool:
        """Whether a transaction that was committed refuses to be committed again, on an engine without tokens too."""
        return self._keyed is not None or self._once is not None

    def _conclude(self) -> MovementAnswer:
        if self._metric:
            metrics.note(self._metric)
        return self._answer

    def _plan_movement(self) -> TransactionPlan:
        movement, now = self._movement, clock.now_ms()
        users = (movement.sender, movement.receiver)
        names = [entry_name(user, self._origin.change_id) for user in users]
        self._answer, self._metric = MovementAnswer(entries=names, at=now), "BalanceUpdatesGranted"
        reverses_at_sender, reverses_at_receiver = movement.reverses
        debit = Posting(
            user_id=movement.sender,
            amount=-movement.amount,
            kind=movement.kind,
            counterparty=movement.receiver,
            reverses=reverses_at_sender,
        )
        credit = Posting(
            user_id=movement.receiver,
            amount=movement.amount,
            kind=movement.kind,
            counterparty=movement.sender,
            reverses=reverses_at_receiver,
        )
        return TransactionPlan(
            token=uuid.uuid4().hex,
            record=self._build_record(),
            accounts={
                debit.user_id: self._build_change(debit, AccountModel.balance >= movement.amount, now),
                credit.user_id: self._build_change(credit, AccountModel.balance <= self._receivers_room, now),
            },
            once=self._once.build_part(names, self._origin) if self._once else None,
        )

    def _plan_refusal(self, refusal: LeasewayError) -> TransactionPlan:
        """Plan to record a refusal, on condition that the account that refused still does; raise it if not recorded.

        No other account takes part: a sender without money must not be able to lock a stranger's account.
        """
        self._metric = "BalanceUpdatesRefused"
        if self._keyed is None or not is_recorded(refusal):
            metrics.note(self._metric)
            raise refusal
        self._answer = MovementAnswer(refusal=refusal.code, facts=refusal.facts)
        refusing = find_refusing_account(refusal) or self._movement.sender
        return TransactionPlan(
            token=uuid.uuid4().hex,
            record=self._build_record(),
            accounts={refusing: AccountModel.check_part(refusing, self._still_refuses(refusal))},
        )

    def _plan_again(self, plan: TransactionPlan, refusals: PlanRefusals) -> TransactionPlan:
        refused = refusals.accounts_now
        if not refused:
            metrics.note("BalanceUpdatesConflicted")
            if refusals.is_throttled:
                self._patience.pause()
            else:
                self._patience.pause(CONFLICT_BACKOFF)
            return plan  # the same transaction under the same token
        self._patience.outcome_unclear = False  # an earlier try that was committed would have been found
        if self._answer.refusal is None:
            return self._plan_refusal(self._build_refusal(refused))
        self._patience.pause()
        return self._plan_movement()  # the account that refused has changed and refuses no longer

    def _build_record(self) -> Part | None:
        return self._keyed.record(self._answer.text) if self._keyed else None

    def _build_change(self, posting: Posting, stays_in_bounds: Condition, at: int) -> Part:
        actions = [
            AccountModel.balance.add(posting.amount),
            AccountModel.version.add(1),
            AccountModel.updated_at.set(at),
            AccountModel.last_entry.set(entry_attribute(posting, self._origin, at)),
        ]
        account_exists = AccountModel.user_id.exists()
        return AccountModel.change_part(posting.user_id, actions, account_exists & stays_in_bounds)

    @property
    def _receivers_room(self) -> int:
        """The highest balance with which the receiver can take the amount."""
        return settings().balance_limit - self._movement.amount

    def _build_refusal(self, refused: dict[str, Account | None]) -> LeasewayError:
        """Build the error from the accounts that refused, as they are now."""
        sender, receiver = self._movement.sender, self._movement.receiver
        for user in (receiver, sender):
            if user in refused and refused[user] is None:
                return AccountNotFoundError(user_id=user)
        if account := refused.get(sender):
            return InsufficientFundsError(account.balance, of=sender)
        return BalanceLimitError(of=receiver)

    def _still_refuses(self, refusal: LeasewayError) -> Condition:
        still_poor: Condition = AccountModel.user_id.exists() & (AccountModel.balance < self._movement.amount)
        still_full: Condition = AccountModel.user_id.exists() & (AccountModel.balance > self._receivers_room)
        match refusal:
            case AccountNotFoundError():
                return AccountModel.user_id.does_not_exist()
            case InsufficientFundsError():
                return still_poor
        return still_full

    def _find_earlier_answer(self, refusals: PlanRefusals) -> MovementAnswer | None:
        """Find the answer recorded under this key, or this movement's own if it was committed but its answer lost."""
        if self._keyed and (record := refusals.record_now):
            return MovementAnswer.parse(self._keyed.replay(record))
        if self._once and (item := refusals.once_now):
            if self._once.read_change_id(item) != self._origin.change_id:
                raise self._once.build_refusal(item)
            return self._answer
        return None

    def _require_own_change(self, cause: Exception) -> None:
        """Find the change as the last one of either account, or raise OutcomeUnknownError. Up to two reads."""
        self._patience.outcome_unclear = True
        for user in (self._movement.sender, self._movement.receiver):
            try:
                item = AccountModel.read(user)
            except CALL_FAILURES as failure:
                raise self._patience.build_give_up_error() from failure
            if item is not None and account_from_item(item).last_change_id == self._origin.change_id:
                return
        raise self._patience.build_give_up_error() from cause
