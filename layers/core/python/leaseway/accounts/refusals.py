"""Errors of accounts."""

from typing import Any

from leaseway.errors import ConflictError, InvalidInputError, LeasewayError, NotFoundError


class AccountNotFoundError(NotFoundError):
    """No such user."""

    code = "USER_NOT_FOUND"


class UserExistsError(ConflictError):
    """The user already has an account."""

    code = "USER_EXISTS"


class InsufficientFundsError(ConflictError):
    """The balance would fall below zero; nothing was changed."""

    code = "INSUFFICIENT_FUNDS"

    def __init__(self, balance: int, *, of: str | None = None) -> None:
        super().__init__(balance=balance)
        self.balance = balance
        self.of = of


class BalanceLimitError(ConflictError):
    """The balance would exceed the limit of an account; nothing was changed."""

    code = "BALANCE_LIMIT"

    def __init__(self, *, of: str | None = None) -> None:
        super().__init__()
        self.of = of


class SameAccountError(InvalidInputError):
    """A transfer needs two different accounts."""

    code = "SAME_ACCOUNT"


_RECORDED: dict[str, type[LeasewayError]] = {
    kind.code: kind for kind in (AccountNotFoundError, UserExistsError, InsufficientFundsError, BalanceLimitError)
}


def is_recorded(error: LeasewayError) -> bool:
    """Whether the error is recorded as the answer to a keyed request, so that repeats get it again."""
    return error.code in _RECORDED


def find_refusing_account(error: LeasewayError) -> str | None:
    """Return the user whose account alone decided the refusal; None if the error does not say."""
    of = getattr(error, "of", None) or error.facts.get("user_id")
    return None if of is None else str(of)


def rebuild_refusal(code: str, facts: dict[str, Any]) -> LeasewayError:
    """Build the refusal again from its recorded code and facts."""
    return _RECORDED[code](**facts)
