"""A change is recognised by an id that the domain makes, never by the request id, which a client of AWS can choose."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from leaseway.accounts import balances
from leaseway.accounts.balances import change_balance, create_account, get_account
from leaseway.accounts.transfers import transfer
from leaseway.errors import OutcomeUnknownError
from leaseway.idempotency import IdempotencyKey
from leaseway.ledger.reversals import AlreadyReversedError, reverse
from support.account_stream import read_stream_records
from support.faulty_wire import intercept_calls

pytestmark = pytest.mark.usefixtures("cloud")

SAME = "the same request id in every request"


@pytest.fixture(autouse=True)
def accounts(cloud: None) -> None:
    for name in ("house", "ann", "ben"):
        create_account(name, 100, request_id=SAME)


def balance_of(user: str) -> int:
    return get_account(user, owner=None).balance


@pytest.mark.parametrize("key", [None, IdempotencyKey("admin", "POST /transfers", "k")])
def test_a_transfer_overtaken_by_one_of_its_request_id_is_made(key: IdempotencyKey | None) -> None:
    # Given a sibling of the same request id that pays from the same account in between
    siblings = [-1]

    def overtake(send: Callable[[], Any]) -> Any:
        if siblings:
            change_balance("house", siblings.pop(), request_id=SAME)
        return send()

    # When the transfer is answered
    with intercept_calls(overtake, "TransactWriteItems"):
        answer = transfer("house", "ben", 10, owner=None, request_id=SAME, key=key)
    # Then it has been made
    assert (balance_of("house"), balance_of("ben")) == (89, 110)
    assert answer.balance == 89


@pytest.mark.parametrize("amount", [5, -5])
def test_a_lost_write_is_not_taken_for_that_of_a_sibling(amount: int) -> None:
    # Given a change of the same request id before
    change_balance("ann", 1, request_id=SAME)

    def lose(_: Callable[[], Any]) -> Any:
        raise ConnectionClosedError(endpoint_url="https://dynamodb")

    # When the next one is lost on its way
    with intercept_calls(lose, "UpdateItem"), pytest.raises(OutcomeUnknownError):
        change_balance("ann", amount, request_id=SAME)
    # Then it is not reported as made
    assert balance_of("ann") == 101


def test_many_requests_of_one_id_are_each_made_once() -> None:
    for _ in range(5):
        change_balance("ann", 1, request_id=SAME)
        transfer("house", "ann", 2, owner=None, request_id=SAME)
        transfer("house", "ben", 3, owner=None, request_id=SAME)
    assert (balance_of("house"), balance_of("ann"), balance_of("ben")) == (75, 115, 115)


def test_a_second_reversal_of_the_same_request_id_is_refused() -> None:
    change_balance("ann", 7, request_id=SAME)
    importlib.import_module("ledger.app").handler({"Records": read_stream_records()}, None)
    reverse("ann:2", request_id=SAME)
    with pytest.raises(AlreadyReversedError):
        reverse("ann:2", request_id=SAME)
    assert balance_of("ann") == 100


def test_the_ledger_keeps_the_request_id_for_tracing() -> None:
    change_balance("ann", 7, request_id="trace-1")
    item = balances.AccountModel.read("ann")
    assert item is not None
    entry = item["last_entry"]["M"]
    assert entry["request_id"]["S"] == "trace-1"
    assert entry["change_id"]["S"] != "trace-1"
