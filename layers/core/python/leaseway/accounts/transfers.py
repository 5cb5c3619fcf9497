"""Moves money between two accounts in one transaction: both change, or neither does."""

import msgspec

from leaseway.accounts.balances import check_posting
from leaseway.accounts.model import Account, entry_name
from leaseway.accounts.postings import Accounts, Origin, Posting
from leaseway.accounts.refusals import AccountNotFoundError, SameAccountError
from leaseway.accounts.settlement import settle
from leaseway.errors import NotYoursError
from leaseway.idempotency import IdempotencyKey, KeyedRequest


class Transfer(msgspec.Struct, frozen=True):
    """A transfer that was made: both accounts after it. Their versions name its two ledger entries."""

    amount: int
    sender: Account
    receiver: Account


def transfer(  # noqa: PLR0913 - all but the first three are named
    sender: str,
    receiver: str,
    amount: int,
    *,
    owner: str | None,
    request_id: str,
    reference: str | None = None,
    actor: str | None = None,
    key: IdempotencyKey | None = None,
) -> Transfer:
    """Move `amount` (minor units, more than zero) from one account to another.

    A user sends only from their own account; `owner` None (an Admin) from any.

    Two reads and one transaction of two items, three with a key. The two entries name each other, which is why the
    versions are read: a busy account takes tens of transfers a second, not hundreds.

    Raises:
        NotYoursError: the sender is not the owner.
        SameAccountError: sender and receiver are the same account.
        AccountNotFoundError: names the one that does not exist.
        InsufficientFundsError: the sender has less; carries the sender's balance.
        BalanceLimitError: the receiver would have more than an account may hold.
        KeyReusedError: the key belongs to another request.
        OutcomeUnknownError: the answer was lost.
        UnavailableError: the accounts are too busy; nothing was changed.
    """
    if owner not in (None, sender):
        raise NotYoursError
    if sender == receiver:
        raise SameAccountError("from and to are the same account", field="to")
    origin = Origin(request_id=request_id, reference=reference, actor=actor)
    keyed = KeyedRequest.of(key, sender, receiver, amount, reference) if key else None
    after = settle(
        [sender, receiver], lambda accounts: _build_postings(accounts, sender, receiver, amount), origin, keyed=keyed
    )
    return Transfer(amount, *after)


def _build_postings(accounts: Accounts, sender: str, receiver: str, amount: int) -> list[Posting]:
    debit = Posting(user_id=sender, amount=-amount, kind="transfer", counterparty=next_entry_name(accounts, receiver))
    credit = Posting(user_id=receiver, amount=amount, kind="transfer", counterparty=next_entry_name(accounts, sender))
    return [check_posting(accounts, debit), check_posting(accounts, credit)]


def next_entry_name(accounts: Accounts, user_id: str) -> str:
    """Return the name of the entry that the account's next change becomes.

    Raises:
        AccountNotFoundError: there is no such account.
    """
    account = accounts[user_id]
    if account is None:
        raise AccountNotFoundError(user_id=user_id)
    return entry_name(user_id, account.version + 1)
