"""Transfers against DynamoDB in memory: both sides or neither, and entries that name each other."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from leaseway.accounts import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    SameAccountError,
    change_balance,
    create_account,
    get_account,
    settlement,
    transfer,
)
from leaseway.accounts.model import AccountModel
from leaseway.errors import OutcomeUnknownError
from leaseway.idempotency import IdempotencyKey, KeyReusedError
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls

KEY = IdempotencyKey("alice", "POST /api/v1/transfers", "k-1")
TRANSACTION = "TransactWriteItems"


@pytest.fixture(autouse=True)
def _accounts(cloud: None) -> None:
    create_account("alice", 100, request_id="open-a")
    create_account("bob", 10, request_id="open-b")
    change_balance("bob", 1, request_id="up")


def balances() -> tuple[int, int]:
    return get_account("alice", owner=None).balance, get_account("bob", owner=None).balance


def last_entry(user: str) -> dict[str, Any]:
    item = AccountModel.read(user)
    assert item is not None
    return {name: next(iter(value.values())) for name, value in item["last_entry"]["M"].items()}


def test_a_transfer_moves_money_and_names_both_entries() -> None:
    outcome = transfer("alice", "bob", 30, owner=None, request_id="t1", reference="rent", actor="alice")

    assert (outcome.sender.balance, outcome.receiver.balance) == balances() == (70, 41)
    out, into = last_entry("alice"), last_entry("bob")
    assert (out["amount"], out["kind"], out["counterparty"]) == ("-30", "transfer", outcome.entries[1])
    assert (into["amount"], into["kind"], into["counterparty"]) == ("30", "transfer", outcome.entries[0])
    assert out["transfer_id"] == into["transfer_id"] == out["change_id"] == into["change_id"]
    assert {entry["reference"] for entry in (out, into)} == {"rent"}


def test_a_transfer_never_overdraws_and_returns_the_senders_balance() -> None:
    with pytest.raises(InsufficientFundsError) as refusal:
        transfer("alice", "bob", 101, owner=None, request_id="t1")
    assert refusal.value.balance == 100
    assert balances() == (100, 11)


@pytest.mark.parametrize(("sender", "receiver"), [("ghost", "bob"), ("alice", "ghost")])
def test_both_sides_must_exist(sender: str, receiver: str) -> None:
    with pytest.raises(AccountNotFoundError) as refusal:
        transfer(sender, receiver, 5, owner=None, request_id="t1")
    assert refusal.value.facts == {"user_id": "ghost"}
    assert balances() == (100, 11)


def test_a_transfer_to_oneself_is_refused() -> None:
    with pytest.raises(SameAccountError):
        transfer("alice", "alice", 5, owner=None, request_id="t1")


def test_a_receiver_beyond_its_limit_is_refused_without_its_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALANCE_LIMIT", "100")
    settings.cache_clear()
    with pytest.raises(BalanceLimitError) as refusal:
        transfer("alice", "bob", 90, owner=None, request_id="t1")
    assert refusal.value.facts == {}
    assert balances() == (100, 11)


def test_a_keyed_transfer_is_made_once() -> None:
    first = transfer("alice", "bob", 30, owner=None, request_id="t1", key=KEY)
    change_balance("alice", 1000, request_id="u")

    again = transfer("alice", "bob", 30, owner=None, request_id="t2", key=KEY)

    assert again == first
    assert balances() == (1070, 41)
    with pytest.raises(KeyReusedError):
        transfer("alice", "bob", 31, owner=None, request_id="t3", key=KEY)


@pytest.mark.parametrize(("key", "items"), [(None, 2), (KEY, 3)])
def test_a_transfer_costs_two_reads_and_one_transaction(key: IdempotencyKey | None, items: int) -> None:
    with meter_calls() as meter:
        transfer("alice", "bob", 30, owner=None, request_id="t1", key=key)
    assert dict(meter.operations()) == {"dynamodb.GetItem": 2, "dynamodb.TransactWriteItems": 1}
    assert (meter.writes(), meter.write_units(), meter.read_units()) == (items, 2 * items, 2)


def test_an_unkeyed_refusal_writes_nothing() -> None:
    with meter_calls() as meter, pytest.raises(InsufficientFundsError):
        transfer("alice", "bob", 300, owner=None, request_id="t1")
    assert dict(meter.operations()) == {"dynamodb.GetItem": 2}


def test_a_transfer_whose_answer_is_lost_is_made_once() -> None:
    losses = [ReadTimeoutError(endpoint_url="here")]

    def lose_the_first(call: Callable[[], Any]) -> Any:
        answer = call()
        if losses:
            raise losses.pop()
        return answer

    with intercept_calls(lose_the_first, TRANSACTION) as calls:
        assert transfer("alice", "bob", 30, owner=None, request_id="t1").sender.balance == 70
    assert calls.count(TRANSACTION) == 2
    assert balances() == (70, 41)


def test_a_transfer_whose_outcome_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "PATIENCE_SECONDS", 0.2)

    def lose(call: Callable[[], Any]) -> Any:
        raise ReadTimeoutError(endpoint_url="here")

    with intercept_calls(lose, TRANSACTION), pytest.raises(OutcomeUnknownError):
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert balances() == (100, 11)


def test_an_account_that_moved_is_decided_on_again() -> None:
    def drain(call: Callable[[], Any]) -> Any:
        if get_account("alice", owner=None).balance == 100:
            change_balance("alice", -80, request_id="o1")
        return call()

    with intercept_calls(drain, TRANSACTION), pytest.raises(InsufficientFundsError) as refusal:
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert refusal.value.balance == 20
    assert balances() == (20, 11)
