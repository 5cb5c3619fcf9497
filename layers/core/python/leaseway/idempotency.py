"""Idempotency keys: the first answer to a request is stored, and every repeat of the request gets it.

The record of a key is put in the very transaction that makes the change, so there is no moment at which one exists
without the other. The put itself checks whether an older record has expired; DynamoDB's TTL only tidies up later.

A change that is too large for one transaction is work in steps: its record is put before the first step, with a plan,
and every step that is done is saved in it. A repeat of the request does the steps that are left.
"""

import functools
import hashlib
import uuid
from typing import Any

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import clock
from leaseway.canonical import canonical_json
from leaseway.dynamodb.repetition import repeat_until_answered
from leaseway.dynamodb.table import ConditionRefusedError, Item, Part, Table
from leaseway.errors import ConflictError, RepeatableOutcomeUnknownError, UnavailableError
from leaseway.settings import settings


class KeyReusedError(ConflictError):
    """This Idempotency-Key was already used for another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A client's key in its scope. Two callers, or two routes, may use the same text and never meet."""

    caller: str
    route: str
    text: str

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for the key and its scope."""
        scoped = msgspec.msgpack.encode((self.caller, self.route, self.text))
        return hashlib.sha256(scoped).hexdigest()


class KeyedRequest(msgspec.Struct, frozen=True):
    """A key together with the digest of the request that it came with."""

    key: IdempotencyKey
    content: str

    @classmethod
    def of(cls, key: IdempotencyKey, *content: Any) -> "KeyedRequest":
        """The request for `content`: its parsed values, so that 100.5 and 100.50, or two orders of names, are one."""
        return cls(key, hashlib.sha256(canonical_json(content)).hexdigest())

    def record(self, answer: str) -> Part:
        """Put the answer under the key, unless a record of it is there and has not expired."""
        return RecordModel.put_part(self._build_item(answer), _is_free())

    def find_record(self) -> Item | None:
        """Read the record of the key; None if there is none or it has expired. One consistent read.

        Raises:
            KeyReusedError: it answers another request.
        """
        item = RecordModel.read(self.key.digest)
        if item is None or int(item["expires_at"]["N"]) <= clock.now_ms() // 1000:
            return None
        self.replay(item)
        return item

    def save_progress(self, progress: str) -> None:
        """Save, in the record that is there, what is done of its change. One UpdateItem; raises as `KeyedWork.save`."""
        self.change_record(RecordModel.progress.set(progress), RecordModel.content == self.content)

    def hold(self, holder: str) -> Item:
        """Make `holder` the one request that may take the change back; returns the record. One UpdateItem.

        Raises as `change_record`: WorkMovedError if there is no such record.
        """
        return self.change_record(RecordModel.holder.set(holder), RecordModel.content == self.content)

    def forget_part(self, holder: str | None) -> Part:
        """Remove the record in the transaction that takes its change back, unless another request holds it.

        `holder` is None for the request that put the record.
        """
        is_held = RecordModel.holder.does_not_exist() if holder is None else RecordModel.holder == holder
        return RecordModel.remove_part(self.key.digest, is_held)

    def complete_answer(self, provisional: str, answer: str) -> str:
        """Replace a provisional answer in the record, unless a repeat has; returns the answer that is recorded now.

        One UpdateItem of 1 write unit.

        Raises:
            RepeatableOutcomeUnknownError: DynamoDB took no write, or the answers were lost.
        """
        is_provisional = (RecordModel.content == self.content) & (RecordModel.answer == provisional)
        change = functools.partial(
            RecordModel.change, self.key.digest, [RecordModel.answer.set(answer)], is_provisional
        )
        try:
            repeat_until_answered(change, unknown=RepeatableOutcomeUnknownError)
        except ConditionRefusedError as refusal:
            return answer if refusal.item is None else self.replay(refusal.item)
        except UnavailableError as failure:
            raise RepeatableOutcomeUnknownError from failure
        return answer

    def change_record(self, action: Action, condition: Condition) -> Item:
        """Change the record and return it. One UpdateItem, 1 write unit per KB.

        Raises:
            WorkMovedError: the condition is false.
            UnavailableError: DynamoDB took no write.
            RepeatableOutcomeUnknownError: the answers were lost.
        """
        try:
            return repeat_until_answered(
                lambda: RecordModel.change(self.key.digest, [action], condition), unknown=RepeatableOutcomeUnknownError
            )
        except ConditionRefusedError:
            raise WorkMovedError from None

    def begin(self, plan: str) -> "KeyedWork":
        """Put a record of work that takes several steps, or take over the work of the first request.

        One conditional PutItem of 1 write unit per KB; a repeat that finds work left, one UpdateItem more.

        Raises:
            KeyReusedError: the key came with another request.
            UnavailableError: DynamoDB took no write; nothing was begun.
            RepeatableOutcomeUnknownError: the answers were lost.
        """
        holder = uuid.uuid4().hex
        item = self._build_item(plan, holder)
        try:
            repeat_until_answered(
                lambda: RecordModel.insert(item, unless=RecordModel.expires_at <= item.created_at),
                unknown=RepeatableOutcomeUnknownError,
            )
        except ConditionRefusedError as refusal:
            existing = refusal.item or {}
            stored_plan = self.replay(existing)
            # A lost answer makes us send our own put again, and meet our own record.
            return KeyedWork(self, holder, stored_plan, read_progress(existing), _read_holder(existing) == holder)
        return KeyedWork(self, holder, plan, None, is_first=True)

    def _build_item(self, answer: str, holder: str | None = None) -> "RecordModel":
        now = clock.now_ms() // 1000
        return RecordModel(
            self.key.digest,
            content=self.content,
            answer=answer,
            created_at=now,
            expires_at=now + settings().idempotency_hours * 3600,
            holder=holder,
        )

    def replay(self, item: Item) -> str:
        """The first answer, from the record that refused to be put again.

        Raises:
            KeyReusedError: it answers another request.
        """
        if item["content"]["S"] != self.content:
            raise KeyReusedError
        return str(item["answer"]["S"])


class KeyedWork(msgspec.Struct, frozen=True):
    """A keyed change in several steps: its plan, what is done of it, and the request that is at it."""

    keyed: KeyedRequest
    holder: str
    """Stands for the request that does the steps now; each repeat that takes over has one of its own."""
    plan: str
    progress: str | None
    """What was saved last; None if nothing was."""
    is_first: bool
    """Whether this request began the work."""

    def take_over(self) -> "KeyedWork":
        """Become the holder of work that an earlier request began; what it does from now on is refused. One UpdateItem.

        Raises:
            WorkMovedError: the record is gone.
            UnavailableError: DynamoDB took no write.
            RepeatableOutcomeUnknownError: the answers were lost.
        """
        return msgspec.structs.replace(self, progress=read_progress(self.keyed.hold(self.holder)))

    def save(self, progress: str) -> None:
        """Save what is done. One UpdateItem, 1 write unit per KB of plan and progress.

        Raises:
            WorkMovedError: a repeat of the request has taken over, and goes on from what was saved before.
            UnavailableError: DynamoDB took no write.
            RepeatableOutcomeUnknownError: the answers were lost.
        """
        self.keyed.change_record(RecordModel.progress.set(progress), RecordModel.holder == self.holder)

    def hold_part(self) -> Part:
        """Hold a transaction to this request being the holder; billed like a write."""
        return RecordModel.check_part(self.keyed.key.digest, RecordModel.holder == self.holder)


class WorkMovedError(RepeatableOutcomeUnknownError):
    """A repeat of this request is at work on it; send it again with the same Idempotency-Key for its outcome."""


class RecordModel(Table):
    """One item per key. The SDK never repeats its transactions: the caller decides what a lost answer means."""

    table_setting = "idempotency_table"
    sdk_attempts = 1

    class Meta:
        table_name = "set by Table"

    key = UnicodeAttribute(hash_key=True)
    content = UnicodeAttribute()
    answer = UnicodeAttribute()
    created_at = NumberAttribute()
    expires_at = NumberAttribute()
    holder = UnicodeAttribute(null=True)
    progress = UnicodeAttribute(null=True)


def read_progress(item: Item) -> str | None:
    """What was saved last in a record; None if nothing was."""
    return item["progress"]["S"] if "progress" in item else None


def _is_free() -> Condition:
    free: Condition = RecordModel.key.does_not_exist() | (RecordModel.expires_at <= clock.now_ms() // 1000)
    return free


def _read_holder(item: Item) -> str | None:
    return item["holder"]["S"] if "holder" in item else None
