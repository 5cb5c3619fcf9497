"""Balances against DynamoDB in memory: the rules, the budget, and what a lost answer does."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from leaseway import aws
from leaseway.accounts import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    UserExistsError,
    change_balance,
    create_account,
    get_account,
)
from leaseway.errors import OutcomeUnknownError, UnavailableError
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls, make_client_error

pytestmark = pytest.mark.usefixtures("cloud")


def lose_the_answer(call: Callable[[], Any]) -> Any:
    call()
    raise ReadTimeoutError(endpoint_url="here")


def lose_the_request(call: Callable[[], Any]) -> Any:
    raise ReadTimeoutError(endpoint_url="here")


def test_a_change_is_added_and_bumps_the_version() -> None:
    create_account("1", 10_000, request_id="open")

    account = change_balance("1", -250, request_id="r1", reference="lunch")

    assert (account.balance, account.version) == (9_750, 2)
    assert get_account("1", owner=None) == account


def test_a_balance_never_goes_below_zero_and_the_refusal_has_it() -> None:
    create_account("1", 100, request_id="open")

    with pytest.raises(InsufficientFundsError) as refusal:
        change_balance("1", -101, request_id="r1")

    assert refusal.value.balance == 100
    assert (get_account("1", owner=None).balance, get_account("1", owner=None).version) == (100, 1)
    assert change_balance("1", -100, request_id="r2").balance == 0


def test_a_balance_never_grows_beyond_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALANCE_LIMIT", "150")
    settings.cache_clear()
    create_account("1", 100, request_id="open")

    with pytest.raises(BalanceLimitError):
        change_balance("1", 51, request_id="r1")
    with pytest.raises(BalanceLimitError):
        create_account("2", 151, request_id="r2")

    assert change_balance("1", 50, request_id="r3").balance == 150


def test_an_unknown_user_is_not_found_and_not_made() -> None:
    with pytest.raises(AccountNotFoundError):
        change_balance("nobody", 5, request_id="r1")
    with pytest.raises(AccountNotFoundError):
        get_account("nobody", owner=None)


def test_an_account_is_made_once() -> None:
    create_account("1", 100, request_id="a")
    with pytest.raises(UserExistsError):
        create_account("1", 999, request_id="b")
    assert get_account("1", owner=None).balance == 100


def test_a_granted_and_a_refused_change_cost_one_write_and_no_read() -> None:
    create_account("1", 100, request_id="open")
    for amount, expected in ((-60, None), (-60, InsufficientFundsError)):
        with meter_calls() as meter:
            if expected is None:
                change_balance("1", amount, request_id="r")
            else:
                with pytest.raises(expected):
                    change_balance("1", amount, request_id="r")
        assert meter.count("dynamodb") == 1
        assert meter.write_units() == 1
        assert meter.read_units() == 0


def test_a_debit_whose_answer_is_lost_is_applied_once_and_reported_done() -> None:
    create_account("1", 100, request_id="open")

    with intercept_calls(lose_the_answer, "UpdateItem") as calls:
        account = change_balance("1", -60, request_id="mine")

    assert account.balance == 40
    assert calls == ["UpdateItem", "GetItem"]
    assert get_account("1", owner=None).balance == 40


def test_a_debit_that_may_have_been_lost_is_reported_unknown_and_not_repeated() -> None:
    create_account("1", 100, request_id="open")

    with intercept_calls(lose_the_request, "UpdateItem") as calls, pytest.raises(OutcomeUnknownError):
        change_balance("1", -60, request_id="mine")

    assert calls == ["UpdateItem", "GetItem"]
    assert get_account("1", owner=None).balance == 100


def test_a_server_error_is_settled_by_one_look_too() -> None:
    create_account("1", 100, request_id="open")

    def write_then_500(call: Callable[[], Any]) -> Any:
        call()
        raise make_client_error("InternalServerError", 500)

    with intercept_calls(write_then_500, "UpdateItem") as calls:
        assert change_balance("1", 5, request_id="mine").balance == 105
    assert calls == ["UpdateItem", "GetItem"]


@pytest.mark.parametrize(
    "failure",
    [
        EndpointConnectionError(endpoint_url="here"),
        make_client_error("ThrottlingException", 400),
        make_client_error("ProvisionedThroughputExceededException", 400),
        make_client_error("TransactionConflictException", 400),
    ],
)
def test_a_change_that_cannot_have_been_written_is_sent_again(failure: Exception) -> None:
    create_account("1", 100, request_id="open")
    failures = [failure, failure]

    def fail_twice(call: Callable[[], Any]) -> Any:
        if failures:
            raise failures.pop()
        return call()

    with intercept_calls(fail_twice, "UpdateItem") as calls:
        assert change_balance("1", -60, request_id="mine").balance == 40
    assert calls == ["UpdateItem"] * 3


def test_a_table_that_stays_throttled_is_unavailable_after_four_tries() -> None:
    create_account("1", 100, request_id="open")

    def throttle(call: Callable[[], Any]) -> Any:
        raise make_client_error("ThrottlingException", 400)

    with intercept_calls(throttle, "UpdateItem") as calls, pytest.raises(UnavailableError):
        change_balance("1", -60, request_id="mine")
    assert calls == ["UpdateItem"] * 4
    assert get_account("1", owner=None).balance == 100


def test_the_sdk_never_repeats_a_write_on_accounts() -> None:
    create_account("1", 100, request_id="open")
    client = aws.client("dynamodb", attempts=1)
    assert client.meta.config.retries["total_max_attempts"] == 1
