"""Many transfers through one account, in the model of DynamoDB's rules: counts and ratios, in virtual time."""

import pytest

from benchmarks.hot_account_model import Load, transfer_by_addition, transfer_by_version
from leaseway.dynamodb.patience import PATIENCE_SECONDS
from leaseway.dynamodb.retry import Backoff

HELD_LONG = (0.005, 0.012)


def test_two_hundred_transfers_a_second_through_one_account_are_made() -> None:
    # Given 200 transfers a second and transactions that hold the item for half of their 5 to 12 ms
    load = Load(200)
    assert load.utilisation < 1
    # When they are made by addition, and by version as before
    added, versioned = transfer_by_addition(load), transfer_by_version(load)
    # Then fewer than 1% are unavailable, at a fraction of the transactions
    assert added.unavailable_share < 0.01
    assert versioned.unavailable_share > 0.2
    assert added.transactions_per_success < versioned.transactions_per_success / 3


@pytest.mark.parametrize("rate", [20, 40, 60, 100])
def test_an_item_that_is_held_longer_takes_what_fits(rate: int) -> None:
    load = Load(rate, HELD_LONG)
    added, versioned = transfer_by_addition(load), transfer_by_version(load)
    assert added.unavailable_share < 0.01
    assert added.unavailable_share <= versioned.unavailable_share
    assert added.transactions_per_success < versioned.transactions_per_success


def test_the_model_makes_no_more_than_fits_one_after_another() -> None:
    """Beyond a utilisation of 1 no policy can make them all: the account has to be split."""
    load = Load(200, HELD_LONG, seconds=20)
    assert load.utilisation > 1
    result = transfer_by_addition(load)
    fits = (load.seconds + PATIENCE_SECONDS) * 2 / sum(HELD_LONG)
    assert 0.9 * fits < result.made <= 1.02 * fits


def test_the_model_agrees_with_what_was_measured_of_the_policy_by_version() -> None:
    """The review's simulation of 12 ms transactions: 1% at 20 a second, 8% at 40, 20% at 60, 45% at 120."""
    shares = [transfer_by_version(Load(rate, HELD_LONG)).unavailable_share for rate in (20, 40, 60, 120)]
    assert shares == pytest.approx([0.01, 0.08, 0.20, 0.45], abs=0.03)


def test_old_requests_are_not_starved_by_new_ones() -> None:
    # Given a busy account, and a pause that grows to seconds in place of ours
    load = Load(200)
    ours, growing = transfer_by_addition(load), transfer_by_addition(load, Backoff(first=0.02, longest=3.0))
    # Then with ours no request waits near the end of the patience, and with the other one in fifty does
    assert ours.wait(0.999) < PATIENCE_SECONDS / 2
    assert growing.unavailable_share > 0.01 > ours.unavailable_share


def test_a_run_is_the_same_each_time() -> None:
    load = Load(100, seconds=5)
    assert transfer_by_addition(load) == transfer_by_addition(load)
