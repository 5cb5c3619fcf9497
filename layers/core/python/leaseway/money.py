"""Converts money between the API's exact decimals and the integers of minor units used inside; never floats."""

from decimal import Decimal

from leaseway.errors import InvalidInputError
from leaseway.settings import settings


def parse_amount(value: Decimal, *, field: str = "amount") -> int:
    """A change of a balance in minor units: exact, not zero, within `AMOUNT_LIMIT` either way.

    Raises:
        InvalidInputError: names the field and what is wrong with the value.
    """
    minor = _to_minor(value, field)
    if minor == 0:
        raise InvalidInputError("must not be zero", field=field)
    return minor


def parse_balance(value: Decimal, *, field: str = "balance") -> int:
    """An opening balance in minor units: exact, zero or more, within `AMOUNT_LIMIT`.

    Raises:
        InvalidInputError: names the field and what is wrong with the value.
    """
    minor = _to_minor(value, field)
    if minor < 0:
        raise InvalidInputError("must not be negative", field=field)
    return minor


def parse_positive(value: Decimal, *, field: str = "amount") -> int:
    """An amount to move, in minor units: exact, more than zero, within `AMOUNT_LIMIT`.

    Raises:
        InvalidInputError: names the field and what is wrong with the value.
    """
    minor = parse_amount(value, field=field)
    if minor < 0:
        raise InvalidInputError("must be more than zero", field=field)
    return minor


def to_decimal(minor: int) -> Decimal:
    """Minor units as the decimal that the API speaks: 10050 is 100.50."""
    return Decimal(minor).scaleb(-settings().currency_exponent)


def _to_minor(value: Decimal, field: str) -> int:
    if not value.is_finite():
        raise InvalidInputError("must be a finite number", field=field)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - only NaN and infinities have another kind
    places, limit = settings().currency_exponent, settings().amount_limit
    if exponent < -places:
        raise InvalidInputError(f"must have at most {places} decimal places", field=field)
    # Check the size by the exponent first: 1e400 must not become an integer of 400 digits.
    if (value and value.adjusted() + places > len(str(limit))) or abs(value.scaleb(places)) > limit:
        raise InvalidInputError(f"must be at most {to_decimal(limit)} either way", field=field)
    return int(value.scaleb(places))
