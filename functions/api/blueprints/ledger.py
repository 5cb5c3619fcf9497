"""The ledger: list the entries of a balance, transfer money between accounts, and reverse an entry."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.account_views import (
    LedgerView,
    ReversalView,
    TransferView,
    entry_view,
    reversal_view,
    transfer_view,
)
from api.fields import PLAIN_TEXT, Amount, Reference, UserId, amount, moment, plain_text, user_id
from api.routes import Call, Operation, operation
from leaseway.accounts import (
    AccountNotFoundError,
    BalanceLimitError,
    InsufficientFundsError,
    SameAccountError,
    transfer,
)
from leaseway.cursors import LARGEST_PAGE, InvalidCursorError
from leaseway.errors import NotYoursError, OutcomeUnknownError, UnavailableError
from leaseway.ledger import (
    AlreadyReversedError,
    EntryNotFoundError,
    NotReversibleError,
    page_of_entries,
    reverse,
)
from leaseway.ledger.statements import EntrySelection
from leaseway.money import parse_positive

ledger = Blueprint(__name__)

_TAG = "Ledger"


class EntryFilter(msgspec.Struct, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """A filter of entries, and the part of the list to return."""

    since: (
        Annotated[
            str, Meta(description="Only entries from this time on, RFC 3339", extra_json_schema={"format": "date-time"})
        ]
        | None
    ) = None
    until: (
        Annotated[
            str, Meta(description="Only entries up to this time, RFC 3339", extra_json_schema={"format": "date-time"})
        ]
        | None
    ) = None
    reference: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="Only entries with exactly this reference",
                extra_json_schema=PLAIN_TEXT,
            ),
        ]
        | None
    ) = None
    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Entries per page")] = 20
    cursor: (
        Annotated[
            str, Meta(description="The cursor of an earlier page of the same list", extra_json_schema={"minLength": 1})
        ]
        | None
    ) = None


class NewTransfer(msgspec.Struct, forbid_unknown_fields=True, rename={"sender": "from", "receiver": "to"}):
    """A transfer between two accounts."""

    sender: UserId
    receiver: UserId
    amount: Annotated[Amount, Meta(description="More than zero")]
    reference: Reference | None = None


class NewReversal(msgspec.Struct, forbid_unknown_fields=True):
    """The reversal of an entry."""

    reference: Reference | None = None


@operation(
    ledger,
    Operation(
        method="GET",
        path="/api/users/{userId}/ledger",
        tag=_TAG,
        summary="List the entries of a balance",
        query=EntryFilter,
        answer=LedgerView,
        errors=(AccountNotFoundError, InvalidCursorError, UnavailableError),
    ),
)
def list_entries(call: Call[None, EntryFilter]) -> LedgerView:
    """Newest first: one entry per version of the account, written from the table's stream shortly after the change.

    A page that is short or empty because of a filter has a `cursor` if there is more to read.
    """
    selection = EntrySelection(
        since=_moment(call.query.since, "from"),
        until=_moment(call.query.until, "to"),
        reference=plain_text(call.query.reference, "reference"),
    )
    page = page_of_entries(
        user_id(call.path["userId"]),
        selection,
        owner=call.caller.sees_owner,
        size=call.query.size,
        cursor=call.query.cursor,
    )
    return LedgerView([entry_view(entry) for entry in page.entries], page.cursor)


@operation(
    ledger,
    Operation(
        method="POST",
        path="/api/v1/transfers",
        rechecks_admins=True,
        tag=_TAG,
        summary="Move money between two accounts",
        body=NewTransfer,
        answer=TransferView,
        keyed=True,
        errors=(
            SameAccountError,
            NotYoursError,
            AccountNotFoundError,
            InsufficientFundsError,
            BalanceLimitError,
            OutcomeUnknownError,
            UnavailableError,
        ),
        example={"from": "alice", "to": "bob", "amount": 12.50, "reference": "rent"},
    ),
)
def make_transfer(call: Call[NewTransfer, None]) -> TransferView:
    """Both accounts change together or not at all, and the sender's balance never falls below zero.

    `balance` is the sender's balance, read after the transfer; changes that followed at once may be included. A repeat
    with the same Idempotency-Key gets the same. A User can send only from their own account. 503 `OUTCOME_UNKNOWN`
    means that the table's answer was lost: send the request again with the same Idempotency-Key, or read the ledger
    first if it had none.
    """
    sender, receiver = user_id(call.body.sender, field="from"), user_id(call.body.receiver, field="to")
    reference = plain_text(call.body.reference, "reference")
    completed = transfer(
        sender,
        receiver,
        parse_positive(amount(call.body.amount)),
        owner=call.caller.sees_owner,
        request_id=call.request_id,
        reference=reference,
        actor=call.caller.subject,
        key=call.key,
    )
    return transfer_view(completed, reference)


@operation(
    ledger,
    Operation(
        method="POST",
        path="/api/v1/ledger/{entry}/reversal",
        rechecks_admins=True,
        tag=_TAG,
        summary="Reverse an entry",
        status=201,
        body=NewReversal,
        body_optional=True,
        answer=ReversalView,
        errors=(
            EntryNotFoundError,
            AlreadyReversedError,
            NotReversibleError,
            InsufficientFundsError,
            BalanceLimitError,
            OutcomeUnknownError,
            UnavailableError,
        ),
        example={"reference": "entered twice"},
    ),
)
def reverse_entry(call: Call[NewReversal, None]) -> ReversalView:
    """Adds a new entry; nothing is deleted. Reversing either side of a transfer reverses both.

    It is refused if the account no longer has the money. It needs no Idempotency-Key: a second reversal is refused with
    409 `ALREADY_REVERSED`, which names the first.
    """
    reversal = reverse(
        call.path["entry"],
        request_id=call.request_id,
        reference=plain_text(call.body.reference, "reference"),
        actor=call.caller.subject,
    )
    return reversal_view(reversal)


def _moment(text: str | None, field: str) -> int | None:
    return None if text is None else moment(text, field)
