"""Accounts: balances that never go below zero."""

from leaseway.accounts.balances import (
    AccountNotFoundError,
    InsufficientFundsError,
    UserExistsError,
    change_balance,
    create_account,
    get_account,
)
from leaseway.accounts.model import Account

__all__ = [
    "Account",
    "AccountNotFoundError",
    "InsufficientFundsError",
    "UserExistsError",
    "change_balance",
    "create_account",
    "get_account",
]
