"""Moves money between two accounts in one transaction: both change, or neither does."""

import msgspec

from leaseway.accounts.model import AccountModel, account_from_item, make_transfer_id
from leaseway.accounts.movements import Movement, MovementAnswer, move
from leaseway.accounts.postings import Origin
from leaseway.accounts.refusals import AccountNotFoundError, InsufficientFundsError, SameAccountError
from leaseway.dynamodb.failures import CALL_FAILURES
from leaseway.errors import LeasewayError, NotYoursError, OutcomeUnknownError, RepeatableOutcomeUnknownError
from leaseway.idempotency import IdempotencyKey, KeyedRequest


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that was made. Amounts are minor units, `at` milliseconds since the epoch, UTC."""

    sender: str
    receiver: str
    amount: int
    balance: int
    """The sender's balance, read after the transfer; a change made in between is in it."""
    entries: list[str]
    """The names of its two ledger entries, the sender's first."""
    at: int


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

    One transaction of two items, three with a key, and then one read for the sender's balance; with a key one write
    more, of one unit, to record it. A user's own account is read before, a unit more: one without money must not be
    able to lock a stranger's account with transactions that are refused.

    Raises:
        NotYoursError: the sender is not the owner.
        SameAccountError: sender and receiver are the same account.
        AccountNotFoundError: names the one that does not exist.
        InsufficientFundsError: the sender has less; carries the sender's balance.
        BalanceLimitError: the receiver would have more than an account may hold.
        KeyReusedError: the key belongs to another request.
        OutcomeUnknownError: the answer was lost, or the balance could not be read; with a key a repeat answers.
        UnavailableError: the accounts are too busy; nothing was changed.
    """
    if owner not in (None, sender):
        raise NotYoursError
    if sender == receiver:
        raise SameAccountError("from and to are the same account", field="to")
    movement = Movement(sender=sender, receiver=receiver, amount=amount, kind="transfer")
    origin = Origin(change_id=make_transfer_id(), request_id=request_id, reference=reference, actor=actor)
    keyed = KeyedRequest.of(key, sender, receiver, amount, reference) if key else None
    refusal = _find_refusal(sender, amount) if owner is not None else None
    answer = _complete(move(movement, origin, keyed=keyed, refusal=refusal), sender, origin, keyed)
    return Transfer(
        sender=sender,
        receiver=receiver,
        amount=amount,
        balance=answer.balance or 0,
        entries=answer.entries,
        at=answer.at,
    )


def _find_refusal(sender: str, amount: int) -> LeasewayError | None:
    """Return the error of a sender without the amount. One consistent read."""
    item = AccountModel.read(sender)
    if item is None:
        return AccountNotFoundError(user_id=sender)
    account = account_from_item(item)
    return InsufficientFundsError(account.balance, of=sender) if account.balance < amount else None


def _complete(answer: MovementAnswer, sender: str, origin: Origin, keyed: KeyedRequest | None) -> MovementAnswer:
    """Add the sender's balance to an answer without one, and record it under the key, so that repeats get the same.

    transaction committed -> the process dies      the record is without a balance: a repeat comes here and adds it
    two requests of one key come here together     the first to write the record decides the balance of both
    """
    if answer.balance is not None:
        return answer
    unknown = OutcomeUnknownError if keyed is None else RepeatableOutcomeUnknownError
    try:
        item = AccountModel.read(sender)
    except CALL_FAILURES as failure:
        raise unknown(request_id=origin.request_id) from failure
    balance = account_from_item(item).balance if item else 0
    completed = msgspec.structs.replace(answer, balance=balance)
    if keyed is None:
        return completed
    return MovementAnswer.parse(keyed.complete_answer(answer.text, completed.text))
