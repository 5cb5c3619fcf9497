"""DynamoDB tables through pynamodb: the base model, and writes that say why they were refused."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from botocore.exceptions import ClientError
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from leaseway import aws
from leaseway.dynamodb.failures import CALL_FAILURES, FailedWrite, classify_failure
from leaseway.dynamodb.retry import Backoff
from leaseway.settings import require_setting

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_READ_TRIES = 3
_READ_BACKOFF = Backoff(first=0.05)

Item = dict[str, dict[str, Any]]
"""An item as DynamoDB spells it: attribute name to {type: value}."""

Part = dict[str, Any]
"""One write or check of a transaction, as DynamoDB spells it."""


class ConditionRefusedError(Exception):
    """The condition of a write was false. Carries the item that refused it, or None if there is no item."""

    def __init__(self, item: Item | None, *, is_repeat: bool = False) -> None:
        super().__init__("condition refused")
        self.item = item
        self.is_repeat = is_repeat
        """Whether the SDK had sent the write before: that one may have been applied, and made the condition false."""


class Table(Model):
    """A pynamodb model whose table name is a setting and whose client is the process's shared one.

    A subclass names the setting in `table_setting`; `sdk_attempts` of 1 keeps the SDK from repeating a write.
    """

    table_setting: ClassVar[str]
    sdk_attempts: ClassVar[int] = 3

    @classmethod
    def _get_connection(cls) -> TableConnection:
        cls.Meta.table_name = require_setting(cls.table_setting)
        connection = super()._get_connection()
        connection.connection._client = cast(Any, cls._get_client())
        return connection

    @classmethod
    def _get_client(cls) -> "DynamoDBClient":
        return aws.client("dynamodb", attempts=cls.sdk_attempts)

    @classmethod
    def read(cls, key: str, range_key: int | None = None, *, consistent: bool = True) -> Item | None:
        """One GetItem: the item, or None. A consistent read costs one read unit per 4 KB, else half.

        A model whose client repeats nothing, for the sake of its writes, has its reads repeated here.

        Raises:
            botocore.exceptions.ClientError: DynamoDB refused.
            botocore.exceptions.BotoCoreError: no answer.
        """
        table = cls._get_connection()
        sort = None if range_key is None else str(range_key)
        request = table.connection.get_operation_kwargs(table.table_name, key, sort, consistent_read=consistent)
        for _ in _READ_BACKOFF.attempts(_READ_TRIES if cls.sdk_attempts == 1 else 1):
            try:
                return cls._send("GetItem", request).get("Item")
            except CALL_FAILURES as failure:
                last = failure
                if classify_failure(failure) is FailedWrite.REFUSED:
                    break
        raise last

    @classmethod
    def change(cls, key: str, actions: Sequence[Action], condition: Condition) -> Item:
        """One conditional UpdateItem; returns the item after it. Billed the same whether granted or refused.

        Raises:
            ConditionRefusedError: with the item as it is, from the same call: no read.
            botocore.exceptions.ClientError: DynamoDB refused for another reason.
            botocore.exceptions.BotoCoreError: no answer.
        """
        answer = cls._dispatch("UpdateItem", key, actions=actions, condition=condition, return_values="ALL_NEW")
        return dict(answer["Attributes"])

    @classmethod
    def insert(cls, item: "Table", *, unless: Condition | None = None) -> None:
        """One conditional PutItem: only if the key is free, or `unless` holds for the existing item.

        Raises as `change` does.
        """
        free = cls._hash_attribute().does_not_exist()
        cls._dispatch("PutItem", **cls._whole(item), condition=free if unless is None else free | unless)

    @classmethod
    def key_of(cls, hash_key: str, range_key: int | None = None) -> Item:
        """The key of an item, as DynamoDB spells it."""
        table = cls._get_connection()
        sort = None if range_key is None else str(range_key)
        key: Item = table.connection.get_identifier_map(table.table_name, hash_key, sort)["Key"]
        return key

    @classmethod
    def put_part(cls, item: "Table", condition: Condition) -> Part:
        """A conditional put, as a part of a transaction."""
        return {"Put": cls._request(**cls._whole(item), condition=condition)}

    @classmethod
    def change_part(cls, key: str, actions: Sequence[Action], condition: Condition) -> Part:
        """A conditional update, as a part of a transaction."""
        return {"Update": cls._request(key, actions=actions, condition=condition)}

    @classmethod
    def remove_part(cls, key: str, condition: Condition | None = None, *, range_key: str | None = None) -> Part:
        """A removal, as a part of a transaction. Without a condition, of an item or of none."""
        return {"Delete": cls._request(key, condition=condition, range_key=range_key)}

    @classmethod
    def check_part(cls, key: str, condition: Condition) -> Part:
        """A condition on an item that stays as it is, as a part of a transaction; billed like a write."""
        return {"ConditionCheck": cls._request(key, condition=condition)}

    @classmethod
    def remove(cls, key: str, condition: Condition) -> None:
        """One conditional DeleteItem, of an item or of none. Billed and raising as `change`."""
        cls._dispatch("DeleteItem", key, condition=condition)

    @classmethod
    def _hash_attribute(cls) -> Any:
        return cls._hash_key_attribute()

    @classmethod
    def _whole(cls, item: "Table") -> dict[str, Any]:
        attributes = item.serialize()
        keys = {"hash_key": cls._hash_key_attribute(), "range_key": cls._range_key_attribute()}
        named = {name: next(iter(attributes[key.attr_name].values())) for name, key in keys.items() if key is not None}
        return {**named, "key": "Item", "attributes": attributes}

    @classmethod
    def _request(cls, hash_key: str, **parts: Any) -> dict[str, Any]:
        table = cls._get_connection()
        return table.connection.get_operation_kwargs(
            table.table_name, hash_key, return_values_on_condition_failure="ALL_OLD", **parts
        )

    @classmethod
    def _dispatch(cls, operation: str, hash_key: str, **parts: Any) -> dict[str, Any]:
        # pynamodb's own update and put cannot ask for the refusing item; its connection can.
        return cls._send(operation, cls._request(hash_key, **parts))

    @classmethod
    def _send(cls, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return cls._get_connection().connection.dispatch(operation, request)
        except VerboseClientError as failure:
            # pynamodb's error keeps the code but neither the status nor the item; botocore's own has them all.
            original = failure.__cause__
            raise (_refusal(original) or original) if isinstance(original, ClientError) else failure from None


def _refusal(failure: ClientError) -> ConditionRefusedError | None:
    if failure.response["Error"]["Code"] != "ConditionalCheckFailedException":
        return None
    repeats = failure.response["ResponseMetadata"].get("RetryAttempts", 0)
    return ConditionRefusedError(cast("Item | None", failure.response.get("Item")), is_repeat=repeats > 0)
