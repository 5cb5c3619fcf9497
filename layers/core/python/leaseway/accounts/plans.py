"""Plans of transactions on accounts: what to send, and which part refused when it is cancelled."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from leaseway.accounts.model import Account, account_from_item
from leaseway.accounts.postings import Origin
from leaseway.dynamodb.failures import PASSING_REASONS
from leaseway.dynamodb.table import Item, Part
from leaseway.dynamodb.transactions import Reason, TransactionCancelledError
from leaseway.errors import LeasewayError

_THROTTLED = ("ThrottlingError", "ProvisionedThroughputExceeded")
_REPEATABLE_REASONS = PASSING_REASONS | {"ConditionalCheckFailed"}


class OneTimePut(Protocol):
    """A put of a permanent item, which only the first transaction of its kind can make."""

    def build_part(self, entries: Sequence[str], origin: Origin) -> Part:
        """Build the put, for a change that becomes the entries of those names; refused if the item exists."""

    def build_refusal(self, item: Item) -> LeasewayError:
        """Build the error of a transaction that finds the item of an earlier one."""

    def read_change_id(self, item: Item) -> str:
        """Return the id of the change that put the item."""


class PlanRefusals(NamedTuple):
    """The reason of each part of a cancelled plan; `record` and `once` are None if the plan has no such part."""

    record: Reason | None
    accounts: dict[str, Reason]
    once: Reason | None

    @property
    def accounts_now(self) -> dict[str, Account | None]:
        """The accounts whose condition was false, as they are now; None if there is no account."""
        refused = {user: reason.item for user, reason in self.accounts.items() if reason.refused}
        return {user: account_from_item(item) if item else None for user, item in refused.items()}

    @property
    def is_throttled(self) -> bool:
        """Whether a part was throttled, which passes less soon than a conflict with another transaction."""
        reasons = [self.record, *self.accounts.values(), self.once]
        return any(reason.code in _THROTTLED for reason in reasons if reason)

    @property
    def record_now(self) -> Item | None:
        """The record that is there already under the key."""
        return self.record.item if self.record and self.record.refused else None

    @property
    def once_now(self) -> Item | None:
        """The item that an earlier transaction of its kind put."""
        return self.once.item if self.once and self.once.refused else None


class TransactionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction to send under its token."""

    token: str
    record: Part | None
    accounts: dict[str, Part]
    once: Part | None = None

    @property
    def parts(self) -> list[Part]:
        """All parts, in the order in which `refusals_in` reads their reasons."""
        return [part for part in (self.record, *self.accounts.values(), self.once) if part]

    def refusals_in(self, cancelled: TransactionCancelledError) -> PlanRefusals:
        """Assign the reasons of a cancellation to the parts of this plan.

        Raises:
            TransactionCancelledError: a reason is neither a false condition nor one that passes by itself.
        """
        if not {reason.code for reason in cancelled.reasons} <= _REPEATABLE_REASONS:
            raise cancelled
        reasons = iter(cancelled.reasons)
        # One statement per kind of part, in the order of `parts`: each takes the next reasons.
        record = next(reasons, None) if self.record else None
        accounts = dict(zip(self.accounts, reasons, strict=False))
        once = next(reasons, None) if self.once else None
        return PlanRefusals(record, accounts, once)
