"""Transfers against DynamoDB in memory: both sides or neither, and entries that name each other."""

import json
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
    transfer,
)
from leaseway.accounts.model import AccountModel
from leaseway.accounts.transfers import Transfer
from leaseway.dynamodb import patience
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyReusedError, RecordModel
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls, make_cancellation

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

    assert (outcome.balance, 41) == balances() == (70, 41)
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


@pytest.mark.parametrize(("owner", "reads"), [(None, 1), ("alice", 2)])
def test_a_transfer_costs_one_transaction_and_a_read_after_it(owner: str | None, reads: int) -> None:
    with meter_calls() as meter:
        transfer("alice", "bob", 30, owner=owner, request_id="t1")
    assert dict(meter.operations()) == {"dynamodb.TransactWriteItems": 1, "dynamodb.GetItem": reads}
    assert (meter.writes(), meter.write_units(), meter.read_units()) == (2, 4, reads)
    assert [call.operation for call in meter.calls][-2:] == ["TransactWriteItems", "GetItem"]


def test_a_keyed_transfer_costs_the_record_and_its_balance_more() -> None:
    with meter_calls() as meter:
        transfer("alice", "bob", 30, owner=None, request_id="t1", key=KEY)
    assert [call.operation for call in meter.calls] == ["TransactWriteItems", "GetItem", "UpdateItem"]
    assert (meter.writes(), meter.write_units(), meter.read_units()) == (4, 7, 1)


def test_an_unkeyed_refusal_is_one_cancelled_transaction() -> None:
    with meter_calls() as meter, pytest.raises(InsufficientFundsError):
        transfer("alice", "bob", 300, owner=None, request_id="t1")
    assert dict(meter.operations()) == {"dynamodb.TransactWriteItems": 1}


def lose_first_transaction(call: Callable[[], Any], losses: list[int]) -> Any:
    answer = call()
    if losses:
        losses.pop()
        raise ReadTimeoutError(endpoint_url="here")
    return answer


@pytest.mark.parametrize("key", [None, KEY])
def test_a_transfer_whose_answer_is_lost_is_made_once(key: IdempotencyKey | None) -> None:
    losses = [1]
    with intercept_calls(lambda call: lose_first_transaction(call, losses), TRANSACTION) as calls:
        assert transfer("alice", "bob", 30, owner=None, request_id="t1", key=key).balance == 70
    assert calls.count(TRANSACTION) == (2 if key else 1)
    assert balances() == (70, 41)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_transfer_whose_answer_is_lost_and_that_others_follow_is_never_made_twice(key: IdempotencyKey | None) -> None:
    """The engine of these tests ignores request tokens: only the record, or not sending again, prevents a second."""
    losses = [1]

    def lose_and_follow(call: Callable[[], Any]) -> Any:
        try:
            return lose_first_transaction(call, losses)
        except ReadTimeoutError:
            for user in ("alice", "bob"):
                change_balance(user, 1, request_id=f"other-{user}")
            raise

    with intercept_calls(lose_and_follow, TRANSACTION):
        if key is None:
            with pytest.raises(OutcomeUnknownError):
                transfer("alice", "bob", 30, owner=None, request_id="t1")
        else:
            assert transfer("alice", "bob", 30, owner=None, request_id="t1", key=key).balance == 71
    assert balances() == (71, 42)


def test_a_transfer_that_was_lost_on_its_way_is_unknown_and_not_sent_again() -> None:
    def lose(call: Callable[[], Any]) -> Any:
        raise ReadTimeoutError(endpoint_url="here")

    with intercept_calls(lose, TRANSACTION) as calls, pytest.raises(OutcomeUnknownError):
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert calls == [TRANSACTION, "GetItem", "GetItem"]
    assert balances() == (100, 11)


def test_a_repeat_completes_the_answer_of_a_process_that_died_after_the_transaction() -> None:
    # Given a keyed transfer whose process dies before the sender's balance is read
    class ProcessEndedError(BaseException):
        pass

    def end(call: Callable[[], Any]) -> Any:
        raise ProcessEndedError

    with intercept_calls(end, "GetItem"), pytest.raises(ProcessEndedError):
        transfer("alice", "bob", 30, owner=None, request_id="t1", key=KEY)
    # When it is repeated, and once more after another change
    first = transfer("alice", "bob", 30, owner=None, request_id="t2", key=KEY)
    change_balance("alice", 5, request_id="u")
    second = transfer("alice", "bob", 30, owner=None, request_id="t3", key=KEY)
    # Then it was made once, and all repeats have one answer
    assert first == second
    assert (first.balance, balances()) == (70, (75, 41))


def test_two_requests_of_one_key_that_read_different_balances_give_one_answer() -> None:
    # Given a repeat that completes the answer between the first request's read and its write of the record
    others: list[Transfer] = []

    def overtake(call: Callable[[], Any]) -> Any:
        if not others:
            others.append(None)  # type: ignore[arg-type]
            change_balance("alice", 5, request_id="u")
            others[0] = transfer("alice", "bob", 30, owner=None, request_id="t2", key=KEY)
        return call()

    with intercept_calls(overtake, "UpdateItem"):
        first = transfer("alice", "bob", 30, owner=None, request_id="t1", key=KEY)
    assert (first, balances()) == (others[0], (75, 41))
    assert first.balance == 75


def test_an_answer_that_an_earlier_release_recorded_is_repeated() -> None:
    # Given the record of a transfer as the release before wrote it, with both accounts
    transfer("alice", "bob", 30, owner=None, request_id="t1", key=KEY)
    accounts = [
        {"user_id": user, "balance": 70, "version": 7, "created_at": 1, "updated_at": 5, "last_change_id": "c"}
        for user in ("alice", "bob")
    ]
    RecordModel.change(
        KEY.digest, [RecordModel.answer.set(json.dumps({"accounts": accounts}))], RecordModel.key.exists()
    )
    # When it is repeated, then the answer is that record's
    again = transfer("alice", "bob", 30, owner=None, request_id="t2", key=KEY)
    assert (again.balance, again.entries, again.at) == (70, ["alice:7", "bob:7"], 5)


def test_a_conflict_is_sent_again_as_the_same_transaction() -> None:
    conflicts, tokens = [make_cancellation("None", "TransactionConflict")] * 3, set()

    def conflict(call: Callable[[], Any], request: dict[str, Any]) -> Any:
        tokens.add(request["ClientRequestToken"])
        if conflicts:
            raise conflicts.pop()
        return call()

    with intercept_calls(conflict, TRANSACTION) as calls:
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert (len(tokens), calls.count(TRANSACTION), balances()) == (1, 4, (70, 41))


def test_accounts_that_stay_in_conflict_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)

    def conflict(call: Callable[[], Any]) -> Any:
        raise make_cancellation("TransactionConflict", "None")

    with intercept_calls(conflict, TRANSACTION), pytest.raises(UnavailableError):
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert balances() == (100, 11)


def test_a_refusal_that_no_longer_holds_is_not_recorded() -> None:
    # Given a deposit between the refused transaction and the record of the refusal
    deposits = [0, 500]

    def deposit(call: Callable[[], Any]) -> Any:
        if len(deposits) and (amount := deposits.pop(0)):
            change_balance("alice", amount, request_id="d")
        return call()

    with intercept_calls(deposit, TRANSACTION) as calls:
        transfer("alice", "bob", 300, owner=None, request_id="t1", key=KEY)
    assert (calls.count(TRANSACTION), balances()) == (3, (300, 311))


def test_a_refusal_holds_although_the_account_keeps_changing() -> None:
    def change(call: Callable[[], Any]) -> Any:
        change_balance("alice", 1, request_id="c")
        return call()

    with intercept_calls(change, TRANSACTION) as calls, pytest.raises(InsufficientFundsError):
        transfer("alice", "bob", 300, owner=None, request_id="t1", key=KEY)
    assert calls.count(TRANSACTION) == 2


def test_an_account_that_moved_is_decided_on_again() -> None:
    def drain(call: Callable[[], Any]) -> Any:
        if get_account("alice", owner=None).balance == 100:
            change_balance("alice", -80, request_id="o1")
        return call()

    with intercept_calls(drain, TRANSACTION), pytest.raises(InsufficientFundsError) as refusal:
        transfer("alice", "bob", 30, owner=None, request_id="t1")
    assert refusal.value.balance == 20
    assert balances() == (20, 11)
