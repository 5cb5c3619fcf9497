"""Idempotency keys: the first answer to a request is stored, and every repeat of the request gets it.

The record of a key is put in the very transaction that makes the change, so there is no moment at which one exists
without the other. The put itself checks whether an older record has expired; DynamoDB's TTL only tidies up later.
"""

import hashlib
from typing import Any

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from leaseway import clock
from leaseway.canonical import canonical_json
from leaseway.dynamodb.table import Item, Part, Table
from leaseway.errors import ConflictError
from leaseway.settings import settings


class KeyReusedError(ConflictError):
    """This Idempotency-Key was sent before with another request."""

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
        now = clock.now_ms() // 1000
        item = RecordModel(
            self.key.digest,
            content=self.content,
            answer=answer,
            created_at=now,
            expires_at=now + settings().idempotency_hours * 3600,
        )
        unused = RecordModel.key.does_not_exist()
        expired = RecordModel.expires_at <= now
        return RecordModel.put_part(item, unused | expired)

    def replay(self, item: Item) -> str:
        """The first answer, from the record that refused to be put again.

        Raises:
            KeyReusedError: it answers another request.
        """
        if item["content"]["S"] != self.content:
            raise KeyReusedError
        return str(item["answer"]["S"])


def forget_key(key: IdempotencyKey) -> None:
    """Remove the record of a key whose change was taken back, so that the request can be sent again."""
    RecordModel.remove(key.digest, RecordModel.key.exists())


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
