"""Idempotency keys against DynamoDB in memory: one change a key, the first answer always, and what that costs."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from leaseway import clock
from leaseway.accounts import (
    AccountNotFoundError,
    InsufficientFundsError,
    UserExistsError,
    change_balance,
    create_account,
    get_account,
)
from leaseway.dynamodb import patience
from leaseway.errors import LeasewayError, RepeatableOutcomeUnknownError, UnavailableError
from leaseway.idempotency import IdempotencyKey, KeyReusedError
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls, make_cancellation, make_client_error

KEY = IdempotencyKey("alice", "POST /api/users/update-balance", "k-1")
TRANSACTION = "TransactWriteItems"


def pay(amount: int, request_id: str, key: IdempotencyKey = KEY, **more: Any) -> Any:
    return change_balance("1", amount, request_id=request_id, key=key, **more)


@pytest.fixture(autouse=True)
def _account(cloud: None) -> None:
    create_account("1", 100, request_id="open")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)


def test_a_repeat_gets_the_first_answer_and_changes_nothing() -> None:
    first = pay(-30, "r1")
    change_balance("1", 500, request_id="another")

    again = pay(-30, "r2")

    assert (again.balance, again.version) == (first.balance, first.version) == (70, 2)
    assert get_account("1", owner=None).balance == 570


def test_a_refusal_is_an_answer_too_even_after_a_deposit() -> None:
    with pytest.raises(InsufficientFundsError):
        pay(-300, "r1")
    change_balance("1", 900, request_id="deposit")

    with pytest.raises(InsufficientFundsError) as again:
        pay(-300, "r2")

    assert again.value.balance == 100
    assert get_account("1", owner=None).balance == 1_000


def test_an_unknown_user_stays_unknown_to_the_key() -> None:
    def change(request_id: str) -> Any:
        return change_balance("ghost", 5, request_id=request_id, key=KEY)

    with pytest.raises(AccountNotFoundError):
        change("r1")
    create_account("ghost", 0, request_id="late")

    with pytest.raises(AccountNotFoundError) as again:
        change("r2")
    assert again.value.facts == {"user_id": "ghost"}


@pytest.mark.parametrize(("amount", "reference"), [(-31, None), (-30, "rent")])
def test_a_key_with_other_content_is_refused(amount: int, reference: str | None) -> None:
    pay(-30, "r1")
    with pytest.raises(KeyReusedError):
        pay(amount, "r2", reference=reference)
    assert get_account("1", owner=None).balance == 70


@pytest.mark.parametrize(
    "other", [IdempotencyKey("bob", KEY.route, "k-1"), IdempotencyKey("alice", "POST /elsewhere", "k-1")]
)
def test_another_caller_or_route_has_keys_of_its_own(other: IdempotencyKey) -> None:
    pay(-30, "r1")
    assert pay(-30, "r2", other).balance == 40


def test_a_key_is_kept_for_a_day_by_its_condition_and_then_free() -> None:
    day, start = 24 * 3600, 1_900_000_000
    with clock.fixed(lambda: start):
        pay(-30, "r1")
    # DynamoDB's own expiry never runs here: what counts is the condition.
    with clock.fixed(lambda: start + day - 1):
        assert pay(-30, "r2").balance == 70
    with clock.fixed(lambda: start + day):
        assert pay(-30, "r3").balance == 40
    with clock.fixed(lambda: start + day + 5), pytest.raises(KeyReusedError):
        pay(-31, "r4")


def test_an_account_is_opened_once_a_key() -> None:
    key = IdempotencyKey("alice", "POST /api/users", "k-1")
    opened = create_account("new", 50, request_id="r1", key=key)
    change_balance("new", 5, request_id="r2")

    again = create_account("new", 50, request_id="r3", key=key)

    assert (again.balance, again.version) == (opened.balance, opened.version) == (50, 1)
    with pytest.raises(UserExistsError):
        create_account("new", 50, request_id="r4", key=IdempotencyKey("alice", "POST /api/users", "k-2"))
    with pytest.raises(UserExistsError):  # recorded: it stays refused
        create_account("new", 50, request_id="r5", key=IdempotencyKey("alice", "POST /api/users", "k-2"))
    assert get_account("new", owner=None).balance == 55


@pytest.mark.parametrize(("amount", "outcome"), [(-30, None), (-300, InsufficientFundsError)])
def test_granted_refused_and_repeated_cost_one_read_and_one_transaction_of_two_items(
    amount: int, outcome: type[LeasewayError] | None
) -> None:
    for request_id in ("r1", "r2"):
        with meter_calls() as meter:
            if outcome:
                with pytest.raises(outcome):
                    pay(amount, request_id)
            else:
                pay(amount, request_id)
        assert dict(meter.operations()) == {"dynamodb.GetItem": 1, "dynamodb.TransactWriteItems": 1}
        assert (meter.writes(), meter.write_units(), meter.read_units()) == (2, 4, 1)


def test_opening_costs_no_read() -> None:
    with meter_calls() as meter:
        create_account("new", 50, request_id="r1", key=KEY)
    assert dict(meter.operations()) == {"dynamodb.TransactWriteItems": 1}
    assert meter.write_units() == 4


def test_a_lost_answer_is_asked_for_again_and_applied_once() -> None:
    losses = [ReadTimeoutError(endpoint_url="here")]

    def lose_the_first(call: Callable[[], Any]) -> Any:
        answer = call()
        if losses:
            raise losses.pop()
        return answer

    with intercept_calls(lose_the_first, TRANSACTION) as calls:
        assert pay(-30, "r1").balance == 70
    assert calls == ["GetItem", TRANSACTION, TRANSACTION]
    assert get_account("1", owner=None).balance == 70


def test_answers_that_stay_lost_are_unknown_and_a_repeat_settles_it(impatient: None) -> None:
    def lose(call: Callable[[], Any]) -> Any:
        call()
        raise ReadTimeoutError(endpoint_url="here")

    # The engine in memory knows no request tokens, so even the second answer must not be seen.
    with intercept_calls(lambda call: lose(lambda: None), TRANSACTION), pytest.raises(RepeatableOutcomeUnknownError):
        pay(-30, "r1")
    assert pay(-30, "r2").balance == 70
    assert pay(-30, "r3").balance == 70


@pytest.mark.parametrize(
    "failure",
    [
        make_cancellation("None", "TransactionConflict"),
        make_cancellation("TransactionConflict", "TransactionConflict"),
        make_cancellation("ThrottlingError", "None"),
        make_cancellation("ProvisionedThroughputExceeded", "None"),
        make_client_error("TransactionInProgressException", 400, TRANSACTION),
        make_client_error("ThrottlingException", 400, TRANSACTION),
        make_client_error("InternalServerError", 500, TRANSACTION),
        EndpointConnectionError(endpoint_url="here"),
    ],
)
def test_what_passes_is_sent_again_as_it_was(failure: Exception) -> None:
    tokens: list[str] = []
    failures = [failure, failure]

    def fail_twice(call: Callable[[], Any], request: dict[str, Any]) -> Any:
        tokens.append(request["ClientRequestToken"])
        if failures:
            raise failures.pop()
        return call()

    with intercept_calls(fail_twice, TRANSACTION) as calls:
        assert pay(-30, "r1").balance == 70
    assert calls == ["GetItem", *[TRANSACTION] * 3]
    assert len(set(tokens)) == 1


def test_a_version_that_moved_is_planned_again_without_a_read() -> None:
    def overtake(call: Callable[[], Any]) -> Any:
        if overtakers:
            change_balance("1", 7, request_id=overtakers.pop())
        return call()

    overtakers = ["o1", "o2"]
    with intercept_calls(overtake, TRANSACTION) as calls:
        assert pay(-30, "r1").balance == 84
    assert calls == ["GetItem", *[TRANSACTION, "UpdateItem"] * 2, TRANSACTION]
    assert get_account("1", owner=None).version == 4


def test_accounts_that_stay_busy_are_unavailable_and_unchanged(impatient: None) -> None:
    def conflict(call: Callable[[], Any]) -> Any:
        raise make_cancellation("None", "TransactionConflict")

    with intercept_calls(conflict, TRANSACTION), pytest.raises(UnavailableError):
        pay(-30, "r1")
    assert get_account("1", owner=None).balance == 100


def test_a_transaction_that_dynamodb_does_not_want_is_not_repeated() -> None:
    def invalid(call: Callable[[], Any]) -> Any:
        raise make_cancellation("ValidationError", "None")

    with intercept_calls(invalid, TRANSACTION) as calls, pytest.raises(Exception, match="ValidationError"):
        pay(-30, "r1")
    assert calls == ["GetItem", TRANSACTION]


def test_a_read_that_fails_on_its_way_is_repeated() -> None:
    failures = [ReadTimeoutError(endpoint_url="here")]

    def fail_once(call: Callable[[], Any]) -> Any:
        if failures:
            raise failures.pop()
        return call()

    with intercept_calls(fail_once, "GetItem") as calls:
        assert pay(-30, "r1").balance == 70
    assert calls == ["GetItem", "GetItem", TRANSACTION]
