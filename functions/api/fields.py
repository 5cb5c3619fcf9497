"""Fields that several requests have: their types for the OpenAPI document, and how each is read, exactly."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Raw

from leaseway.errors import InvalidInputError
from leaseway.validation import USER_ID_PATTERN, whole_match

_AMOUNT_PATTERN = r"^-?(0|[1-9]\d{0,15})(\.\d{1,4})?$"

PLAIN_TEXT = {"pattern": r"^[^\x00-\x1f\x7f]*$"}
"""What `plain_text` admits, for the OpenAPI document."""

UserId = Annotated[
    Annotated[str, whole_match(USER_ID_PATTERN)] | Annotated[int, Meta(ge=0)],
    Meta(
        description="Letters, digits and `. _ @ : -`, up to 128. The number 1 and the string `1` are the same account.",
        examples=["alice"],
    ),
]
Amount = Annotated[
    Raw,
    Meta(
        description="A decimal with at most the currency's places (two, unless the deployment says otherwise), read"
        " exactly as written; a string says the same as a number. At most 10,000,000,000 either way by default.",
        extra_json_schema={"anyOf": [{"type": "number"}, {"type": "string", "pattern": _AMOUNT_PATTERN}]},
        examples=[100.5],
    ),
]
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Your note on the change, without control characters; stored with its ledger entry.",
        extra_json_schema=PLAIN_TEXT,
    ),
]

Owner = Annotated[str, whole_match(rf"^(\*|@generator|{USER_ID_PATTERN.strip('^$')})$")]

_user_id = re.compile(USER_ID_PATTERN)
# A JSON number, bare or in quotes. Exponents of four digits and more are refused unread: 1e400 is judged, not built.
_amount = re.compile(rb'("?)(-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?)\1')
_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_control = re.compile(r"[\x00-\x1f\x7f]")


def user_id(value: str | int, *, field: str = "userId") -> str:
    """The id of a user as the string that the account is kept under.

    Raises:
        InvalidInputError: too long, or characters that an id cannot have.
    """
    text = str(value)
    if not _user_id.fullmatch(text):
        raise InvalidInputError("must be 1 to 128 letters, digits or . _ @ : - and start with one", field=field)
    return text


def amount(raw: Raw, *, field: str = "amount") -> Decimal:
    """The number exactly as it was written, never through binary floating point.

    Raises:
        InvalidInputError: not a JSON number, nor one in quotes.
    """
    text = _amount.fullmatch(bytes(raw))
    if text is None:
        raise InvalidInputError("must be a decimal number such as 100.50", field=field)
    return Decimal(text[2].decode())


def plain_text(value: str | None, field: str) -> str | None:
    """Text without control characters.

    Raises:
        InvalidInputError: it has some.
    """
    if value is not None and _control.search(value):
        raise InvalidInputError("must not contain control characters", field=field)
    return value


def moment(text: str, field: str) -> int:
    """A time in RFC 3339, as milliseconds since the epoch; what is finer is dropped.

    Raises:
        InvalidInputError: it is no such time, or has no offset.
    """
    # In a query a plus sign arrives as a space, where it was not escaped.
    escaped = re.sub(r" (?=\d\d:\d\d$)", "+", text)
    try:
        if not _rfc3339.fullmatch(escaped):
            raise ValueError
        return int(datetime.fromisoformat(escaped.upper()).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidInputError("must be a time such as 2026-02-04T15:30:00Z", field=field) from None


def milliseconds(moment: datetime | None) -> int | None:
    """A moment of a request in milliseconds since the epoch."""
    return None if moment is None else round(moment.timestamp() * 1000)
