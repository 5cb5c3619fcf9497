"""DynamoDB tables through pynamodb: the base model, and writes that say why they were refused."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import UpdateError, VerboseClientError
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

    A subclass names the setting in `table_setting`; `attempts` of 1 keeps the SDK from repeating a write.
    """

    table_setting: ClassVar[str]
    attempts: ClassVar[int] = 3

    @classmethod
    def _get_connection(cls) -> TableConnection:
        cls.Meta.table_name = needed(cls.table_setting)  # type: ignore[attr-defined]
        connection = super()._get_connection()
        connection.connection._client = aws.client("dynamodb", attempts=cls.attempts)
        return connection

    @classmethod
    def change(cls, key: str, actions: Sequence[Action], condition: Condition, *, range_key: str | None = None) -> Item:
        """One conditional UpdateItem; returns the item after it. Billed the same whether granted or refused.

        Raises:
            ConditionRefusedError: with the item as it is, from the same call: no read.
            pynamodb.exceptions.UpdateError: any other failure.
        """
        connection = cls._get_connection()
        try:
            answer = connection.connection.update_item(
                connection.table_name,
                key,
                range_key=range_key,
                actions=actions,
                condition=condition,
                return_values="ALL_NEW",
                return_values_on_condition_failure="ALL_OLD",
            )
        except UpdateError as failure:
            raise _refusal(failure.cause) or failure from failure
        return dict(answer["Attributes"])

    @classmethod
    def insert(cls, item: "Table") -> None:
        """One conditional PutItem: only where the key is free.

        Raises:
            ConditionRefusedError: the key is taken; carries the item that holds it.
            botocore.exceptions.ClientError: any other failure.
        """
        connection = cls._get_connection().connection
        attributes = item.serialize()
        key = next(iter(attributes[cls._hash_key_attribute().attr_name].values()))
        request = connection.get_operation_kwargs(
            cls.Meta.table_name,
            key,
            key="Item",
            attributes=attributes,
            condition=cls._hash_key_attribute().does_not_exist(),
            return_values_on_condition_failure="ALL_OLD",
        )
        try:
            connection.dispatch("PutItem", request)
        except VerboseClientError as failure:
            raise _refusal(failure) or failure from failure


def _refusal(failure: BaseException | None) -> ConditionRefusedError | None:
    # pynamodb's error keeps the code but not the item; botocore's own, one cause further down, has both.
    response = getattr(getattr(failure, "__cause__", None), "response", {})
    if response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        return None
    return ConditionRefusedError(response.get("Item"))
