"""DynamoDB tables through pynamodb: the base model, and writes that say why they were refused."""

from collections.abc import Sequence
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from leaseway import aws
from leaseway.settings import needed

Item = dict[str, dict[str, Any]]
"""An item as DynamoDB spells it: attribute name to {type: value}."""


class ConditionRefusedError(Exception):
    """The condition of a write was false. Carries the item that refused it, or None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("condition refused")
        self.item = item


class Table(Model):
    """A pynamodb model whose table name is a setting and whose client is the process's shared one.

    A subclass names the setting in `table_setting`; `sdk_attempts` of 1 keeps the SDK from repeating a write.
    """

    table_setting: ClassVar[str]
    sdk_attempts: ClassVar[int] = 3

    @classmethod
    def _get_connection(cls) -> TableConnection:
        cls.Meta.table_name = needed(cls.table_setting)
        connection = super()._get_connection()
        connection.connection._client = aws.client("dynamodb", attempts=cls.sdk_attempts)
        return connection

    @classmethod
    def read(cls, key: str, *, consistent: bool = True) -> Item | None:
        """One GetItem: the item, or None. A consistent read costs one read unit per 4 KB, else half."""
        return cls._get_connection().get_item(key, consistent_read=consistent).get("Item")

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
    def insert(cls, item: "Table") -> None:
        """One conditional PutItem: only where the key is free. Raises as `change` does."""
        attributes = item.serialize()
        hash_key = cls._hash_attribute()
        key = next(iter(attributes[hash_key.attr_name].values()))
        cls._dispatch("PutItem", key, key="Item", attributes=attributes, condition=hash_key.does_not_exist())

    @classmethod
    def remove(cls, key: str, condition: Condition) -> None:
        """One conditional DeleteItem, of an item or of none. Billed and raising as `change`."""
        cls._dispatch("DeleteItem", key, condition=condition)

    @classmethod
    def _hash_attribute(cls) -> Any:
        return cls._hash_key_attribute()

    @classmethod
    def _dispatch(cls, operation: str, hash_key: str, **parts: Any) -> dict[str, Any]:
        # pynamodb's own update and put cannot ask for the refusing item; its connection can.
        table = cls._get_connection()
        request = table.connection.get_operation_kwargs(
            table.table_name, hash_key, return_values_on_condition_failure="ALL_OLD", **parts
        )
        try:
            return table.connection.dispatch(operation, request)
        except VerboseClientError as failure:
            # pynamodb's error keeps the code but neither the status nor the item; botocore's own has them all.
            original = failure.__cause__
            raise (_refusal(original) or original) if isinstance(original, ClientError) else failure from None


def _refusal(failure: ClientError) -> ConditionRefusedError | None:
    if failure.response["Error"]["Code"] != "ConditionalCheckFailedException":
        return None
    return ConditionRefusedError(failure.response.get("Item"))
