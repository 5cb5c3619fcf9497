"""Accounts: balances that never go below zero."""

from leaseway.accounts.balances import change_balance, check_owner, create_account, get_account
from leaseway.accounts.model import Account
from leaseway.accounts.refusals import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    SameAccountError,
    UserExistsError,
)
from leaseway.accounts.transfers import Transfer, transfer

__all__ = [
    "Account",
    "AccountNotFoundError",
    "BalanceLimitError",
    "InsufficientFundsError",
    "SameAccountError",
    "Transfer",
    "UserExistsError",
    "change_balance",
    "check_owner",
    "create_account",
    "get_account",
    "transfer",
]
