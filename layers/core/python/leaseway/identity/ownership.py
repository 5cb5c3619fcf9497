"""Opens accounts so that registering a name first is not enough to own the account that is opened in it later.

The owner of an account is stored when it is opened. It is never concluded from a user who has the name: a stranger may
have registered "42" long before the platform opens account 42 for its customer.
"""

from collections.abc import Sequence

from leaseway.accounts import Account, UserExistsError, create_account, get_account
from leaseway.accounts.postings import Origin
from leaseway.accounts.refusals import AccountNotFoundError
from leaseway.dynamodb.table import Item, Part
from leaseway.errors import ConflictError
from leaseway.idempotency import IdempotencyKey
from leaseway.identity.model import UserModel
from leaseway.identity.users import get_user


class OwnerRequiredError(ConflictError):
    """A user has this name: send `owner` with it to open the account for that user."""

    code = "OWNER_REQUIRED"


class _NameWithoutUser:
    """The part of an opening's transaction that refuses it if a user has the account's name."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id

    def build_part(self, entries: Sequence[str], origin: Origin) -> Part:
        return UserModel.check_part(self._user_id, UserModel.username.does_not_exist())

    def build_refusal(self, item: Item) -> OwnerRequiredError:
        return OwnerRequiredError(owner=item["username"]["S"])

    def read_change_id(self, item: Item) -> str:
        return ""


def open_account(  # noqa: PLR0913 - all but the first two are named
    user_id: str,
    opening_balance: int = 0,
    *,
    owner: str | None,
    request_id: str,
    actor: str | None = None,
    key: IdempotencyKey | None = None,
) -> Account:
    """Open an account with a balance in minor units, for the user `owner`, or without an owner if no user has its name.

    With an owner one read and one write unit; users are never removed, so the read stays true. Without, one transaction
    of two items, 4 write units, which a concurrent registration of the name excludes. A key makes it one item more.

    Raises:
        OwnerRequiredError: a user has the account's name, and `owner` is None.
        UserNotFoundError: there is no such owner.
        UserExistsError, BalanceLimitError, KeyReusedError, OutcomeUnknownError, UnavailableError: as `create_account`.
    """
    if owner is not None:
        get_user(owner)
        return create_account(user_id, opening_balance, request_id=request_id, actor=actor, key=key, owner=owner)
    guard = _NameWithoutUser(user_id)
    try:
        return create_account(user_id, opening_balance, request_id=request_id, actor=actor, key=key, guard=guard)
    except OwnerRequiredError:
        _raise_if_open(user_id)
        raise


def _raise_if_open(user_id: str) -> None:
    try:
        get_account(user_id, owner=None)
    except AccountNotFoundError:
        return
    raise UserExistsError(user_id=user_id) from None
