"""Refusals that are recorded under a key: which items their transaction holds."""

from typing import Any

import pytest

from leaseway.accounts import create_account
from leaseway.accounts.transfers import transfer
from leaseway.errors import LeasewayError
from leaseway.idempotency import IdempotencyKey
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("sender", "receiver", "amount", "refusing"),
    [
        ("poor", "victim", 1, "poor"),
        ("absent", "victim", 1, "absent"),
        ("rich", "absent", 1, "absent"),
        ("rich", "full", 2, "full"),
        ("rich", "victim", 10**9, "rich"),
    ],
)
def test_a_users_refused_transfer_holds_only_the_account_that_refused(
    sender: str, receiver: str, amount: int, refusing: str
) -> None:
    # Given accounts, of which one is full
    for name, balance in {"poor": 0, "rich": 100, "victim": 5, "full": settings().balance_limit - 1}.items():
        create_account(name, balance, request_id=name)
    transactions: list[list[str]] = []

    def note(send: Any, request: dict[str, Any]) -> Any:
        parts = (next(iter(part.values())) for part in request["TransactItems"])
        transactions.append([part["Key"]["user_id"]["S"] for part in parts if "user_id" in part.get("Key", {})])
        return send()

    # When a keyed transfer is refused
    key = IdempotencyKey(sender, "POST /api/v1/transfers", "k")
    with intercept_calls(note, "TransactWriteItems"), pytest.raises(LeasewayError):
        transfer(sender, receiver, amount, owner=sender, request_id="r", key=key)
    # Then the transaction that records it holds no other account
    assert transactions[-1] == [refusing]
    # And a sender without the money has never held the receiver's
    if refusing == sender:
        assert transactions == [[sender]]


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("sender", ["poor", "absent"])
def test_a_users_unkeyed_transfer_without_the_money_is_no_transaction(sender: str) -> None:
    create_account("poor", 0, request_id="p")
    create_account("victim", 5, request_id="v")
    with meter_calls() as meter, pytest.raises(LeasewayError):
        transfer(sender, "victim", 1, owner=sender, request_id="r")
    assert dict(meter.operations()) == {"dynamodb.GetItem": 1}
