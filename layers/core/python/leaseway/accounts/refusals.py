"""Errors of accounts."""

from typing import Any

from leaseway.errors import ConflictError, InvalidInputError, LeasewayError, NotFoundError


class AccountNotFoundError(NotFoundError):
    """No such user."""

    code = "USER_NOT_FOUND"


class UserExistsError(ConflictError):
    """There is already an account of this user."""

    code = "USER_EXISTS"


class InsufficientFundsError(ConflictError):
    """The balance would fall below zero; nothing was changed."""

    code = "INSUFFICIENT_FUNDS"

    def __init__(self, balance: int) -> None:
        super().__init__(balance=balance)
        self.balance = balance


class BalanceLimitError(ConflictError):
    """The balance would grow beyond what an account may hold; nothing was changed."""

    code = "BALANCE_LIMIT"


class SameAccountError(InvalidInputError):
    """A transfer needs two accounts."""

    code = "SAME_ACCOUNT"


_RECORDED: dict[str, type[LeasewayError]] = {
    kind.code: kind for kind in (AccountNotFoundError, UserExistsError, InsufficientFundsError, BalanceLimitError)
}


def is_recorded(error: LeasewayError) -> bool:
    """Whether the error is recorded as the answer to a keyed request, so that repeats get it again."""
    return error.code in _RECORDED


def rebuild_refusal(code: str, facts: dict[str, Any]) -> LeasewayError:
    """Build the refusal again from its recorded code and facts."""
    return _RECORDED[code](**facts)
