"""Balances: open an account, read it, change it."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta, Raw

from api.account_views import AccountView, account_view
from api.fields import Amount, Reference, UserId, amount, moment, plain_text, user_id
from api.routes import Answer, Call, Operation, operation
from leaseway.accounts import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    UserExistsError,
    change_balance,
    get_account,
)
from leaseway.errors import InvalidInputError, OutcomeUnknownError, UnavailableError
from leaseway.identity import OwnerRequiredError, UserNotFoundError
from leaseway.identity import open_account as create_owned_account
from leaseway.ledger import LedgerBehindError, balance_at
from leaseway.money import parse_amount, parse_balance
from leaseway.validation import USER_ID_PATTERN

balances = Blueprint(__name__)

_TAG = "Balances"


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """The account to open."""

    userId: UserId
    balance: Annotated[
        Amount, Meta(description="The opening balance, zero or more", extra_json_schema={"default": 0})
    ] = msgspec.field(default_factory=lambda: Raw(b"0"))
    owner: (
        Annotated[
            str,
            Meta(
                description="The user for whom it is opened. For now only the user whose name is the `userId`; required"
                " if there is one, because whoever registered the name need not be the account's owner",
                extra_json_schema={"pattern": USER_ID_PATTERN},
            ),
        ]
        | None
    ) = None


class BalanceChange(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a balance."""

    userId: UserId
    amount: Annotated[Amount, Meta(description="The amount to add; negative to subtract. Not zero")]
    reference: Reference | None = None


@operation(
    balances,
    Operation(
        method="POST",
        path="/api/users",
        rechecks_admins=True,
        tag=_TAG,
        summary="Open an account",
        status=201,
        location=True,
        body=NewAccount,
        answer=AccountView,
        keyed=True,
        errors=(
            UserExistsError,
            OwnerRequiredError,
            UserNotFoundError,
            BalanceLimitError,
            OutcomeUnknownError,
            UnavailableError,
        ),
        example={"userId": "alice", "balance": 100.5},
    ),
)
def open_account(call: Call[NewAccount, None]) -> Answer:
    """The opening balance is the account's first version. An existing account is not changed.

    If `userId` is the name of a user, `owner` is required with the same name; otherwise 409 `OWNER_REQUIRED`.
    """
    user = user_id(call.body.userId)
    opening = parse_balance(amount(call.body.balance, field="balance"), field="balance")
    owner = _check_owner_named(call.body.owner, user)
    account = create_owned_account(
        user, opening, owner=owner, request_id=call.request_id, actor=call.caller.subject, key=call.key
    )
    return Answer(account_view(account), {"location": f"users/{user}/balance"})


def _check_owner_named(owner: str | None, user: str) -> str | None:
    if owner not in (None, user):
        raise InvalidInputError("must be the userId", field="owner")
    return owner


class BalanceMoment(msgspec.Struct, forbid_unknown_fields=True):
    """The time of the balance."""

    at: (
        Annotated[
            str,
            Meta(
                description="A time in the past, RFC 3339",
                examples=["2026-02-04T15:30:00Z"],
                extra_json_schema={"format": "date-time"},
            ),
        ]
        | None
    ) = None


@operation(
    balances,
    Operation(
        method="GET",
        path="/api/users/{userId}/balance",
        tag=_TAG,
        summary="Read a balance",
        query=BalanceMoment,
        answer=AccountView,
        errors=(AccountNotFoundError, LedgerBehindError),
    ),
)
def show_balance(call: Call[None, BalanceMoment]) -> AccountView:
    """A consistent read: it shows every change that was answered before the request.

    With `at`, the balance after the last change up to that time, from the ledger. The times of concurrent changes may
    be in a slightly different order than the changes themselves.
    """
    user = user_id(call.path["userId"])
    if call.query.at is None:
        return account_view(get_account(user, owner=call.caller.sees_owner))
    return account_view(balance_at(user, moment(call.query.at, "at"), owner=call.caller.sees_owner))


@operation(
    balances,
    Operation(
        method="POST",
        path="/api/users/update-balance",
        rechecks_admins=True,
        tag=_TAG,
        summary="Change a balance",
        body=BalanceChange,
        answer=AccountView,
        keyed=True,
        errors=(
            AccountNotFoundError,
            InsufficientFundsError,
            BalanceLimitError,
            OutcomeUnknownError,
            UnavailableError,
        ),
        example={"userId": 1, "amount": 100.50},
    ),
)
def update_balance(call: Call[BalanceChange, None]) -> AccountView:
    """Adds to the balance atomically. A change that would make it negative is refused, and the answer has the balance.

    503 `OUTCOME_UNKNOWN` means that the table's answer was lost. With an Idempotency-Key, send the same request again;
    without one, read the ledger first.
    """
    account = change_balance(
        user_id(call.body.userId),
        parse_amount(amount(call.body.amount)),
        request_id=call.request_id,
        reference=plain_text(call.body.reference, "reference"),
        actor=call.caller.subject,
        key=call.key,
    )
    return account_view(account)
