"""Backoff: how long it waits, and how often."""

import pytest

from leaseway import clock
from leaseway.dynamodb.retry import Backoff


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(clock, "sleep", seconds.append)
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    return seconds


def test_it_pauses_before_each_try_but_the_first_and_twice_as_long_each_time(pauses: list[float]) -> None:
    assert list(Backoff(first=0.1).attempts(5)) == [0, 1, 2, 3, 4]
    assert pauses == [0.1, 0.2, 0.4, 0.8]


def test_a_success_ends_it_without_a_pause(pauses: list[float]) -> None:
    assert next(Backoff(first=0.1).attempts(5)) == 0
    assert pauses == []


def test_no_pause_is_longer_than_the_limit(pauses: list[float]) -> None:
    list(Backoff(first=0.1, longest=0.3).attempts(5))
    assert pauses == [0.1, 0.2, 0.3, 0.3]
