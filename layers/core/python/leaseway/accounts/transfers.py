"""Moves money between two accounts in one transaction: both change, or neither does."""

import msgspec

from leaseway.accounts.balances import check_posting
from leaseway.accounts.model import Account, make_transfer_id
from leaseway.accounts.postings import Accounts, Origin, Posting
from leaseway.accounts.refusals import AccountNotFoundError, SameAccountError
from leaseway.accounts.settlement import settle
from leaseway.errors import NotYoursError
from leaseway.idempotency import IdempotencyKey, KeyedRequest


class Transfer(msgspec.Struct, frozen=True):
    """A transfer that was made: both accounts after it."""

    amount: int
    sender: Account
    receiver: Account

    @property
    def entries(self) -> tuple[str, str]:
        """The names of its two ledger entries, the sender's first."""
        return self.sender.latest_entry, self.receiver.latest_entry


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

    Two reads and one transaction of two items, three with a key. Its two entries are joined by a transfer id.

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
    origin = Origin(change_id=make_transfer_id(), request_id=request_id, reference=reference, actor=actor)
    keyed = KeyedRequest.of(key, sender, receiver, amount, reference) if key else None
    after = settle(
        [sender, receiver], lambda accounts: _build_postings(accounts, sender, receiver, amount), origin, keyed=keyed
    )
    return Transfer(amount, *after)


def _build_postings(accounts: Accounts, sender: str, receiver: str, amount: int) -> list[Posting]:
    for user_id in (receiver, sender):
        if accounts[user_id] is None:
            raise AccountNotFoundError(user_id=user_id)
    debit = Posting(user_id=sender, amount=-amount, kind="transfer", counterparty=receiver)
    credit = Posting(user_id=receiver, amount=amount, kind="transfer", counterparty=sender)
    return [check_posting(accounts, debit), check_posting(accounts, credit)]
