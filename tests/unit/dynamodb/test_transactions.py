"""Transactions that are planned again while others are in their way."""

from collections.abc import Callable, Iterator

import pytest

from leaseway import clock
from leaseway.dynamodb import transactions
from leaseway.dynamodb.table import Part
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError, transact_until_settled
from leaseway.errors import UnavailableError

PART: Part = {}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(clock, "sleep", pauses.append)
    return pauses


@pytest.fixture
def cancel(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Callable[[int], list[int]]:
    """Cancels so many transactions; returns the numbers of parts of those that were sent."""

    def cancel(times: int) -> list[int]:
        sent: list[int] = []

        def transact(parts: list[Part]) -> None:
            sent.append(len(parts))
            if len(sent) <= times:
                raise TransactionCancelledError([Reason("TransactionConflict", {"number": {"N": str(len(sent))}})])

        monkeypatch.setattr(transactions, "transact_with_retries", transact)
        return sent

    return cancel


def judge_nothing(cancelled: TransactionCancelledError) -> None:
    """Leave it to the next try."""


def test_each_try_is_planned_on_what_cancelled_the_one_before(
    cancel: Callable[[int], list[int]], pauses: list[float]
) -> None:
    sent = cancel(2)
    seen: list[str] = []

    def judge(cancelled: TransactionCancelledError) -> None:
        seen.append((cancelled.reasons[0].item or {})["number"]["N"])

    assert transact_until_settled(lambda: [PART] * (1 + len(seen)), judge) is None
    assert (seen, sent, len(pauses)) == (["1", "2"], [1, 2, 3], 2)


def test_an_outcome_ends_it(cancel: Callable[[int], list[int]]) -> None:
    sent = cancel(9)
    outcomes: Iterator[str | None] = iter([None, "it exists"])

    assert transact_until_settled(lambda: [PART], lambda _: next(outcomes)) == "it exists"
    assert len(sent) == 2


def test_a_plan_without_parts_sends_nothing(cancel: Callable[[int], list[int]]) -> None:
    sent = cancel(9)
    plans: Iterator[list[Part]] = iter([[PART], []])

    assert transact_until_settled(lambda: next(plans), judge_nothing) is None
    assert sent == [1]


def test_the_tries_have_a_bound(cancel: Callable[[int], list[int]], pauses: list[float]) -> None:
    sent = cancel(9)

    with pytest.raises(UnavailableError, match="others are busy") as busy:
        transact_until_settled(lambda: [PART], judge_nothing, tries=4, busy="others are busy")

    assert isinstance(busy.value.__cause__, TransactionCancelledError)
    assert (len(sent), len(pauses)) == (4, 3)


def test_what_the_judge_raises_is_not_repeated(cancel: Callable[[int], list[int]]) -> None:
    sent = cancel(9)

    def refuse(cancelled: TransactionCancelledError) -> None:
        raise LookupError from cancelled

    with pytest.raises(LookupError):
        transact_until_settled(lambda: [PART], refuse)
    assert len(sent) == 1
