"""Random histories of money against a model: updates, transfers, reversals, repeats of requests, crashes, lost answers,
and a stream that doubles, drops and reorders what it delivers.

The engine in memory takes one call at a time, so this proves rules and not concurrency; the same rules are held on the
real engine, with threads, by tests/integration/test_money_threads.py.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ReadTimeoutError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from leaseway import aws
from leaseway.accounts import change_balance, create_account, get_account, transfer
from leaseway.errors import LeasewayError
from leaseway.idempotency import IdempotencyKey
from leaseway.ledger import reverse
from leaseway.ledger.entries import entries_of
from leaseway.ledger.stream import record_changes
from leaseway.ledger.verify import verify
from support import tables
from support.account_stream import read_stream_records
from support.as_function import clear_caches
from support.faulty_wire import intercept_calls, make_cancellation

USERS = ("a", "b", "c")
FAULTS = (
    "none",
    "none",
    "none",
    "lost answer",
    "lost, then overtaken",
    "conflict",
    "overtaken",
    "crash before",
    "crash after",
)

UNREAD = "the sender's balance has not been read yet"

users = st.sampled_from(USERS)
amounts = st.integers(-120, 120).filter(bool)
moved = st.integers(1, 150)
keys = st.none() | st.sampled_from(("k1", "k2", "k3"))
faults = st.sampled_from(FAULTS)


class CrashError(BaseException):
    """The process ends here; the client gets no answer."""


@dataclass
class Model:
    """What the balances should be, and why."""

    balances: dict[str, int] = field(default_factory=dict)
    entries: dict[str, list[int]] = field(default_factory=dict)
    brought_in: int = 0
    answers: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict)
    """By route and key: what was asked and what was answered."""

    def post(self, *changes: tuple[str, int]) -> None:
        for user, amount in changes:
            self.balances[user] = self.balances.get(user, 0) + amount
            self.entries.setdefault(user, []).append(amount)

    def refusal(self, *changes: tuple[str, int]) -> str | None:
        if any(user not in self.balances for user, _ in changes):
            return "USER_NOT_FOUND"
        if any(self.balances[user] + amount < 0 for user, amount in changes):
            return "INSUFFICIENT_FUNDS"
        return None


class MoneyMachine(RuleBasedStateMachine):
    """Leaseway and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = mock_aws()
        self.cloud.start()
        clear_caches()
        for kind in (tables.accounts, tables.ledger, tables.idempotency):
            aws.client("dynamodb").create_table(**kind(kind.__name__))
        self.model = Model()
        self.requests = (f"request-{number}" for number in itertools.count())
        self.reversed: set[str] = set()
        self.followers: list[tuple[str, int]] = []
        """Changes that others made after the request in progress, and before its answer."""

    def teardown(self) -> None:
        try:
            record_changes(read_stream_records())
            report = verify()
            assert report.clean, report.listed
            assert report.balances == report.brought_in == self.model.brought_in
            for user, expected in self.model.entries.items():
                assert [entry.amount for entry in entries_of(user, 1, 10**6)] == expected
        finally:
            self.cloud.stop()
            clear_caches()

    @initialize(balance=st.integers(0, 100))
    def open_the_first_account(self, balance: int) -> None:
        self._do("open", (USERS[0], balance), None, "none")

    @rule(user=users, balance=st.integers(0, 100), key=keys, fault=faults)
    def open_an_account(self, user: str, balance: int, key: str | None, fault: str) -> None:
        self._do("open", (user, balance), key, fault)

    @rule(user=users, amount=amounts, key=keys, fault=faults)
    def update(self, user: str, amount: int, key: str | None, fault: str) -> None:
        self._do("update", (user, amount), key, fault)

    @rule(sender=users, receiver=users, amount=moved, key=keys, fault=faults)
    def move(self, sender: str, receiver: str, amount: int, key: str | None, fault: str) -> None:
        if sender != receiver:
            self._do("transfer", (sender, receiver, amount), key, fault)

    @precondition(lambda self: self.model.answers)
    @rule(data=st.data(), fault=faults)
    def repeat(self, data: st.DataObject, fault: str) -> None:
        (route, key), (arguments, _) = data.draw(st.sampled_from(sorted(self.model.answers.items())))
        self._do(route, arguments, key, fault)

    @rule(data=st.data(), user=users, fault=faults)
    def take_back(self, data: st.DataObject, user: str, fault: str) -> None:
        record_changes(read_stream_records())
        entry = data.draw(st.sampled_from(list(entries_of(user, 1, 10**6)) or [None]))
        if entry is None:
            return
        changes = [(user, -entry.amount)]
        if entry.counterparty:
            changes.append((entry.counterparty.rpartition(":")[0], entry.amount))
        code = self.model.refusal(*changes)
        if entry.name in self.reversed:
            code = "ALREADY_REVERSED"
        if entry.kind == "reversal" or entry.amount == 0:
            code = "NOT_REVERSIBLE"
        try:
            with self._fault(fault, [changed for changed, _ in changes]):
                outcome = _answer(lambda: reverse(entry.name, request_id=next(self.requests)).entries)
            answer = outcome if isinstance(outcome, str) else len(outcome)
        except CrashError:
            if fault == "crash before":
                return
            answer = None
        if code is None:
            self.model.post(*changes)
            self.model.brought_in -= 0 if entry.counterparty else entry.amount
            self.reversed |= {entry.name, entry.counterparty or entry.name}
        self._post_followers()
        assert answer in (None, code or len(changes))

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Some records, some of them twice, in any order; what is left out comes later."""
        stream = read_stream_records()
        order = data.draw(st.lists(st.sampled_from(range(len(stream))), max_size=2 * len(stream)))
        record_changes([stream[number] for number in order])

    @invariant()
    def balances_are_the_models_and_never_negative(self) -> None:
        for user in USERS:
            expected = self.model.balances.get(user)
            if expected is None:
                assert _answer(lambda user=user: get_account(user, owner=None)) == "USER_NOT_FOUND"
            else:
                account = get_account(user, owner=None)
                assert account.balance == expected >= 0
                assert account.version == len(self.model.entries[user])
        assert sum(self.model.balances.values()) == self.model.brought_in

    def _do(self, route: str, arguments: tuple[Any, ...], key: str | None, fault: str) -> None:
        """Send one request, with one fault on its way, and hold its answer against the model's."""
        expected, applied = self._predict(route, arguments, key)
        try:
            with self._fault(fault, [user for user in arguments if isinstance(user, str)]):
                answer = _answer(lambda: self._send(route, arguments, key))
        except CrashError:
            # A crash before the write leaves nothing; one after it leaves everything but the answer.
            if fault == "crash before":
                return
            applied()
            if key and route == "transfer":
                # The balance is read and recorded by the first repeat.
                self.model.answers[route, key] = (arguments, UNREAD)
            return
        applied()
        self._post_followers()
        if fault == "lost, then overtaken" and key is None and answer == "OUTCOME_UNKNOWN":
            return
        assert answer == expected, (route, arguments, key, fault)

    def _send(self, route: str, arguments: tuple[Any, ...], key: str | None) -> Any:
        more: dict[str, Any] = {
            "request_id": next(self.requests),
            "key": IdempotencyKey("me", route, key) if key else None,
        }
        match route:
            case "open":
                return create_account(*arguments, **more).balance
            case "update":
                return change_balance(*arguments, **more).balance
            case _:
                return transfer(*arguments, owner=_owner(*arguments), **more).balance

    def _predict(self, route: str, arguments: tuple[Any, ...], key: str | None) -> tuple[Any, Callable[[], None]]:
        """What should be answered, and how the model changes when it is."""
        if key and (route, key) in self.model.answers:
            asked_first, answer = self.model.answers[route, key]
            if answer == UNREAD and asked_first == arguments:
                answer = self.model.balances[arguments[0]]
                return answer, lambda: self.model.answers.update({(route, key): (arguments, answer)})
            return (answer if asked_first == arguments else "IDEMPOTENCY_KEY_REUSED"), lambda: None
        changes: Sequence[tuple[str, int]]
        match route, arguments:
            case "transfer", (sender, receiver, amount):
                changes, brought_in = [(sender, -amount), (receiver, amount)], 0
                code = self.model.refusal(*changes)
                if _owner(*arguments) and self.model.refusal((sender, -amount)) == "INSUFFICIENT_FUNDS":
                    code = "INSUFFICIENT_FUNDS"  # a user's own account is looked at first
            case "open", (user, amount):
                changes, brought_in = [(user, amount)], amount
                code = "USER_EXISTS" if user in self.model.balances else None
            case _, (user, amount):
                changes, brought_in = [(user, amount)], amount
                code = self.model.refusal(*changes)
        after = [self.model.balances.get(user, 0) + amount for user, amount in changes]
        expected = code or after[0]

        def apply() -> None:
            if code is None:
                self.model.post(*changes)
                self.model.brought_in += brought_in
            if key:
                self.model.answers[route, key] = (arguments, expected)

        return expected, apply

    @contextmanager
    def _fault(self, fault: str, concerned: Sequence[str]) -> Iterator[None]:
        """The next write meets this fault, and the ones after it none."""
        left = [fault]

        def meddle(call: Callable[[], Any], request: dict[str, Any]) -> Any:
            match left.pop() if left else "none":
                case "lost answer":
                    call()
                    raise ReadTimeoutError(endpoint_url="here")
                case "lost, then overtaken":
                    call()
                    self.followers = self._change_back_and_forth(concerned)
                    raise ReadTimeoutError(endpoint_url="here")
                case "conflict":
                    others = len(request["TransactItems"]) - 1
                    raise make_cancellation("TransactionConflict", *["None"] * others)
                case "overtaken":
                    self.model.post(*self._change_back_and_forth(concerned))
                case "crash before":
                    raise CrashError
                case "crash after":
                    call()
                    raise CrashError
            return call()

        with intercept_calls(meddle, "TransactWriteItems", *(() if fault == "conflict" else ("UpdateItem", "PutItem"))):
            yield

    def _change_back_and_forth(self, concerned: Sequence[str]) -> list[tuple[str, int]]:
        """Others change the accounts: versions move, balances end as they were. Returns the changes."""
        changes = [(user, amount) for user in concerned if user in self.model.balances for amount in (1, -1)]
        for user, amount in changes:
            change_balance(user, amount, request_id=next(self.requests))
        return changes

    def _post_followers(self) -> None:
        self.model.post(*self.followers)
        self.followers = []


def _owner(sender: str, receiver: str, amount: int) -> str | None:
    """Half of the transfers are a user's own, the others an Admin's."""
    return sender if amount % 2 else None


def _answer(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except LeasewayError as refusal:
        return refusal.code


def test_any_history_keeps_the_money_and_explains_it() -> None:
    examples = int(os.environ.get("MONEY_EXAMPLES", "20"))
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
