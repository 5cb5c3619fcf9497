"""Settlements: changes that depend on what was read, made in one transaction on the very versions that were read.

we       read alice v7, bob v3 -> decide -> {alice: v7 -> v8, bob: v3 -> v4}    both or neither
another  alice v7 -> v8 in between: ours is cancelled and brings alice v8 along -> decide again, without a read
"""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
from pynamodb.expressions.condition import Condition

from leaseway import clock, metrics
from leaseway.accounts.model import Account, AccountModel, account_from_item, new_item
from leaseway.accounts.postings import Accounts, Origin, Posting, entry_attribute
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    is_recorded,
    recorded,
)
from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import TransactionCancelledError, transact
from leaseway.errors import LeasewayError, OutcomeUnknownError, RepeatableOutcomeUnknownError, UnavailableError
from leaseway.idempotency import KeyedRequest

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a settlement tries again while others change the same accounts."""

_GRANTED, _REFUSED = "BalanceUpdatesGranted", "BalanceUpdatesRefused"
_REFUSALS = (AccountNotFoundError, InsufficientFundsError, BalanceLimitError)
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 0.4
# Reasons that pass: somebody else's transaction, or too many of them.
_PASSING = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError",
                      "ProvisionedThroughputExceeded"})  # fmt: skip


class Once(Protocol):
    """A put that only the first settlement of its kind can make, and that lasts."""

    def part(self, after: Sequence[Account], origin: Origin) -> Part:
        """The put; refused where an earlier one is."""

    def refused(self, item: Item) -> LeasewayError:
        """What to tell a settlement that came too late."""

    def made_by(self, item: Item) -> str:
        """The request id of the settlement that made the item."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a settlement came to: the accounts after it, or a refusal."""

    accounts: list[Account] = []
    refusal: str | None = None
    facts: dict[str, int | str] = {}

    def given(self) -> list[Account]:
        """The accounts, in the order of the postings; a refusal is raised."""
        if self.refusal is not None:
            raise recorded(self.refusal, self.facts)
        return self.accounts


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction to send, and what the request is answered once it is through."""

    answer: Answer
    token: str
    counted_as: str | None
    """The metric that counts it, once it is through."""
    record: list[Part] = []
    accounts: dict[str, Part]
    once: list[Part] = []

    @property
    def parts(self) -> list[Part]:
        return [*self.record, *self.accounts.values(), *self.once]


def settle(  # noqa: PLR0913 - what may be left out is named
    users: Sequence[str],
    decide: Callable[[Accounts], Sequence[Posting]],
    origin: Origin,
    *,
    keyed: KeyedRequest | None = None,
    once: Once | None = None,
    read: bool = True,
) -> list[Account]:
    """Make the postings that `decide` chooses, all of them or none; returns each account after its posting.

    `decide` is asked anew whenever an account has changed, and raises to refuse. One consistent read an account
    (none with `read` False, which takes the accounts for absent until told otherwise) and one transaction: an item
    an account, one for `keyed`, one for `once`. Under `keyed` a refusal is recorded too, by a transaction of as
    many items; without it a refusal costs no write.

    Raises:
        LeasewayError: what `decide` raised, now or the first time the keyed request came.
        KeyReusedError: the key belongs to another request.
        UnavailableError: others kept changing the accounts, or DynamoDB took no write; nothing was changed.
        OutcomeUnknownError: the answer was lost.
    """
    settlement = _Settlement(decide, origin, keyed, once)
    settlement.accounts = {user: settlement.read(user) if read else None for user in users}
    return settlement.run().given()


class _Settlement:
    """One settlement under way: what is known of the accounts, and how much patience is left."""

    def __init__(
        self,
        decide: Callable[[Accounts], Sequence[Posting]],
        origin: Origin,
        keyed: KeyedRequest | None,
        once: Once | None,
    ) -> None:
        self.accounts: dict[str, Account | None] = {}
        self._decide = decide
        self._origin = origin
        self._keyed = keyed
        self._once = once
        self._ends = time.monotonic() + PATIENCE_SECONDS
        self._waits = 0
        self._unclear = False
        self._asked_again = False

    def read(self, user_id: str) -> Account | None:
        """The account, by a consistent read that is repeated while it fails on the way."""
        while True:
            try:
                item = AccountModel.read(user_id)
            except CALL_FAILURES as failure:
                self._pause_after(failure)
                self._unclear = False  # a read leaves nothing behind
            else:
                return account_from_item(item) if item else None

    def run(self) -> Answer:
        """Plan, send, and learn from each cancellation until one plan is through."""
        plan = self._plan()
        while True:
            try:
                transact(plan.parts, plan.token)
            except TransactionCancelledError as cancelled:
                if answer := self._given_before(plan, cancelled):
                    return answer
                # Nobody has touched the accounts: the same plan goes out again, under the same token.
                plan = self._plan() if self._has_learned(plan, cancelled) else plan
                self._pause()
            except CALL_FAILURES as failure:
                # Likewise; applied already, it is not applied again.
                self._pause_after(failure)
            else:
                _count(plan.counted_as)
                return plan.answer

    def _plan(self) -> _Plan:
        self._unclear = False  # an account has moved on, so no earlier plan can still be applied
        token = uuid.uuid4().hex
        try:
            postings = self._decide(self.accounts)
        except LeasewayError as refusal:
            counted_as = _REFUSED if isinstance(refusal, _REFUSALS) else None
            if self._keyed is None or not is_recorded(refusal):
                _count(counted_as)
                raise
            answer = Answer(refusal=refusal.code, facts=refusal.facts)
            unchanged = {user: AccountModel.check_part(user, self._as_known(user)) for user in self.accounts}
            return _Plan(
                answer=answer,
                token=token,
                counted_as=counted_as,
                record=self._record(answer),
                accounts=unchanged,
            )
        after = [self._after(posting) for posting in postings]
        return _Plan(
            answer=(answer := Answer(after)),
            token=token,
            counted_as=None if postings[0].kind == "opening" else _GRANTED,
            record=self._record(answer),
            accounts={pair[0].user_id: self._change(*pair) for pair in zip(postings, after, strict=True)},
            once=[self._once.part(after, self._origin)] if self._once else [],
        )

    def _record(self, answer: Answer) -> list[Part]:
        return [self._keyed.record(msgspec.json.encode(answer).decode())] if self._keyed else []

    def _after(self, posting: Posting) -> Account:
        account = self.accounts[posting.user_id]
        now = clock.now_ms()
        if account is None:
            return Account(posting.user_id, posting.amount, 1, now, now, self._origin.request_id)
        return msgspec.structs.replace(
            account,
            balance=account.balance + posting.amount,
            version=account.version + 1,
            updated_at=max(now, account.updated_at),
            last_request_id=self._origin.request_id,
        )

    def _change(self, posting: Posting, after: Account) -> Part:
        entry = entry_attribute(posting, self._origin, after.updated_at)
        if self.accounts[posting.user_id] is None:
            return AccountModel.put_part(new_item(after, entry), self._as_known(posting.user_id))
        actions = [
            AccountModel.balance.set(after.balance),
            AccountModel.version.set(after.version),
            AccountModel.updated_at.set(after.updated_at),
            AccountModel.last_entry.set(entry),
        ]
        return AccountModel.change_part(posting.user_id, actions, self._as_known(posting.user_id))

    def _as_known(self, user_id: str) -> Condition:
        account = self.accounts[user_id]
        return AccountModel.user_id.does_not_exist() if account is None else AccountModel.version == account.version

    def _given_before(self, plan: _Plan, cancelled: TransactionCancelledError) -> Answer | None:
        """The answer that was given already: to this key, or to this very request whose answer was lost."""
        refusing = [reason.item if reason.refused else None for reason in cancelled.reasons]
        of_record, of_accounts, of_once = _cut(refusing, len(plan.record), len(plan.accounts))
        if self._keyed and of_record[0]:
            return msgspec.json.decode(self._keyed.replay(of_record[0]), type=Answer)
        ours = self._origin.request_id
        if any(account_from_item(item).last_request_id == ours for item in of_accounts if item):
            return plan.answer
        if self._once and of_once and of_once[0]:
            if self._once.made_by(of_once[0]) != ours:
                raise self._once.refused(of_once[0])
            return plan.answer
        return None

    def _has_learned(self, plan: _Plan, cancelled: TransactionCancelledError) -> bool:
        """Take over the accounts that a cancellation brought; whether there were any."""
        if not {reason.code for reason in cancelled.reasons} <= _PASSING:
            raise cancelled
        of_accounts = _cut(cancelled.reasons, len(plan.record), len(plan.accounts))[1]
        moved = [(user, reason) for user, reason in zip(plan.accounts, of_accounts, strict=False) if reason.refused]
        self.accounts |= {user: account_from_item(reason.item) if reason.item else None for user, reason in moved}
        metrics.note("BalanceUpdatesConflicted")
        return bool(moved)

    def _pause_after(self, failure: Exception) -> None:
        match classify_failure(failure):
            case FailedWrite.REFUSED:
                raise failure
            case FailedWrite.UNCLEAR:
                self._unclear = True
        self._pause()

    def _pause(self) -> None:
        if time.monotonic() >= self._ends:
            # A lost answer is asked for once more, however long it took to be lost.
            if not self._unclear or self._asked_again:
                raise self._gave_up()
            self._asked_again = True
        longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**self._waits)
        self._waits += 1
        time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret

    def _gave_up(self) -> LeasewayError:
        request = self._origin.request_id
        if not self._unclear:
            return UnavailableError("the accounts are busy; nothing was changed")
        return (RepeatableOutcomeUnknownError if self._keyed else OutcomeUnknownError)(request_id=request)


def _count(counted_as: str | None) -> None:
    if counted_as:
        metrics.note(counted_as)


def _cut(listed: Sequence[T], records: int, accounts: int) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    return listed[:records], listed[records : records + accounts], listed[records + accounts :]
