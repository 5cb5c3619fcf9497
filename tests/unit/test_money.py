from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway.errors import InvalidInputError
from leaseway.money import parse_amount, parse_balance, to_decimal


@given(st.integers(min_value=-(10**12), max_value=10**12).filter(bool))
def test_every_amount_survives_the_way_in_and_out_exactly(minor: int) -> None:
    assert parse_amount(to_decimal(minor)) == minor
    assert parse_amount(Decimal(str(to_decimal(minor)))) == minor


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0.00",
        "0.001",
        "-0.001",
        "100.505",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e999999",
        "1e-400",
        "10000000000.01",
    ],
)
def test_an_amount_that_is_not_exact_money_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_amount(Decimal(text))
    assert refusal.value.field == "amount"


@pytest.mark.parametrize(("text", "minor"), [("100.50", 10050), ("-2", -200), ("1e2", 10000), ("0.01", 1)])
def test_amounts_become_minor_units(text: str, minor: int) -> None:
    assert parse_amount(Decimal(text)) == minor


def test_an_opening_balance_may_be_zero_but_not_negative() -> None:
    assert parse_balance(Decimal(0)) == 0
    with pytest.raises(InvalidInputError):
        parse_balance(Decimal("-0.01"))
