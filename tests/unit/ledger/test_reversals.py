"""Reversals against DynamoDB in memory: once, by a new entry, both sides of a transfer together."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from leaseway.accounts import InsufficientFundsError, change_balance, create_account, get_account, transfer
from leaseway.ledger import (
    AlreadyReversedError,
    EntryNotFoundError,
    NotReversibleError,
    get_entry,
    page_of_entries,
    reverse,
)
from leaseway.ledger.statements import EntrySelection
from leaseway.ledger.stream import record_changes
from leaseway.ledger.verify import verify
from support.account_stream import read_stream_records
from support.call_meter import meter_calls
from support.faulty_wire import intercept_calls


@pytest.fixture(autouse=True)
def _accounts(cloud: None) -> None:
    create_account("alice", 100, request_id="open-a")
    create_account("bob", 10, request_id="open-b")


def deliver() -> None:
    record_changes(read_stream_records())


def balances() -> tuple[int, int]:
    return get_account("alice", owner=None).balance, get_account("bob", owner=None).balance


def test_a_reversal_is_a_new_entry_that_names_what_it_takes_back() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()

    reversal = reverse("alice:2", request_id="rev", reference="mistake", actor="admin")
    deliver()

    assert balances() == (100, 10)
    assert reversal.entries == ["alice:3"]
    entry = get_entry("alice:3")
    assert (entry.kind, entry.amount, entry.reverses, entry.reference) == ("reversal", -25, "alice:2", "mistake")
    assert get_entry("alice:2").amount == 25


def test_an_entry_is_reversed_once() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()
    reverse("alice:2", request_id="rev")

    with pytest.raises(AlreadyReversedError) as refusal:
        reverse("alice:2", request_id="rev-2")

    assert refusal.value.facts == {"reversal": "alice:3"}
    assert balances() == (100, 10)


def test_that_it_was_reversed_is_said_even_where_the_money_would_not_suffice() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()
    reverse("alice:2", request_id="rev")
    change_balance("alice", -100, request_id="spend")

    with pytest.raises(AlreadyReversedError):
        reverse("alice:2", request_id="rev-2")


def test_money_that_is_spent_cannot_be_taken_back() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()
    change_balance("alice", -110, request_id="spend")

    with pytest.raises(InsufficientFundsError):
        reverse("alice:2", request_id="rev")
    change_balance("alice", 50, request_id="earn")
    reverse("alice:2", request_id="rev-2")
    assert get_account("alice", owner=None).balance == 40


@pytest.mark.parametrize(("side", "other"), [("alice:2", "bob:2"), ("bob:2", "alice:2")])
def test_either_side_reverses_the_whole_transfer_once(side: str, other: str) -> None:
    transfer("alice", "bob", 30, owner=None, request_id="t1")
    deliver()

    reversal = reverse(side, request_id="rev")
    deliver()

    assert balances() == (100, 10)
    back, forth = get_entry("alice:3"), get_entry("bob:3")
    assert sorted(reversal.entries) == [back.name, forth.name]
    assert (back.amount, back.reverses, back.counterparty) == (30, get_entry("alice:2").name, forth.name)
    assert (forth.amount, forth.reverses, forth.counterparty) == (-30, get_entry("bob:2").name, back.name)
    for name in (side, other):
        with pytest.raises(AlreadyReversedError):
            reverse(name, request_id=f"again-{name}")
    assert verify().clean


def test_reversals_and_empty_openings_cannot_be_reversed() -> None:
    create_account("carol", 0, request_id="open-c")
    change_balance("alice", 25, request_id="r1")
    deliver()
    reverse("alice:2", request_id="rev")
    deliver()
    for name in ("alice:3", "carol:1"):
        with pytest.raises(NotReversibleError):
            reverse(name, request_id=f"rev-{name}")


@pytest.mark.parametrize("name", ["alice:7", "ghost:1", "alice", "alice:", ":1", "alice:x", "alice:-1", "alice:²"])
def test_an_unknown_entry_is_not_found(name: str) -> None:
    deliver()
    with pytest.raises(EntryNotFoundError):
        reverse(name, request_id="rev")


def test_marks_of_reversals_are_no_entries() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()
    reverse("alice:2", request_id="rev")
    deliver()
    assert [entry.version for entry in page_of_entries("alice", EntrySelection(), owner=None, size=10).entries] == [
        3,
        2,
        1,
    ]
    assert verify().clean


@pytest.mark.parametrize(("name", "reads", "items"), [("alice:2", 2, 2), ("alice:3", 1, 3)])
def test_a_reversal_costs_its_entry_its_accounts_and_one_transaction(name: str, reads: int, items: int) -> None:
    change_balance("alice", 25, request_id="r1")
    transfer("alice", "bob", 5, owner=None, request_id="t1")
    deliver()
    with meter_calls() as meter:
        reverse(name, request_id="rev")
    assert dict(meter.operations()) == {"dynamodb.GetItem": reads, "dynamodb.TransactWriteItems": 1}
    assert (meter.writes(), meter.write_units(), meter.read_units()) == (items, 2 * items, reads)


def test_a_reversal_whose_answer_is_lost_is_made_once_and_reported() -> None:
    change_balance("alice", 25, request_id="r1")
    deliver()
    losses = [ReadTimeoutError(endpoint_url="here")]

    def lose_then_spend(call: Callable[[], Any]) -> Any:
        answer = call()
        if losses:
            change_balance("alice", -1, request_id="meanwhile")
            raise losses.pop()
        return answer

    with intercept_calls(lose_then_spend, "TransactWriteItems"):
        assert reverse("alice:2", request_id="rev").entries == ["alice:3"]
    assert balances() == (99, 10)
