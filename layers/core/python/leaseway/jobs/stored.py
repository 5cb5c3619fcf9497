"""The stored form of a job's field, which follows from its type."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from pynamodb.attributes import Attribute, BooleanAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute

from leaseway.dynamodb.table import Item
from leaseway.jobs.fields import Field, list_fields


class StoredForm(NamedTuple):
    """The kind of attribute that holds a field, and the way from a value to it and back."""

    attribute: type[Attribute[Any]]
    encode: Callable[[Any], Any] = lambda value: value
    decode: Callable[[Any], Any] = lambda stored: stored
    may_be_absent: bool = False
    """Whether a value may lead to no attribute, though the field is not optional."""


_FORMS = {
    int: StoredForm(NumberAttribute, decode=int),
    bool: StoredForm(BooleanAttribute),
    str: StoredForm(UnicodeAttribute),
    # DynamoDB has no empty sets.
    tuple[str, ...]: StoredForm(
        UnicodeSetAttribute, lambda texts: set(texts) or None, lambda stored: tuple(sorted(stored)), may_be_absent=True
    ),
}


def form_of(field: Field) -> StoredForm:
    """Return the stored form of a field: numbers, flags, text and sets of text as they are, all else as JSON.

    Empty sets and lists are not stored: the field's default stands for them.
    """
    if isinstance(field.type, type) and issubclass(field.type, StrEnum):
        return StoredForm(UnicodeAttribute, lambda member: member.value, field.type)
    return _FORMS.get(field.type) or StoredForm(
        UnicodeAttribute,
        lambda value: msgspec.json.encode(value).decode() if value or field.is_optional else None,
        msgspec.json.Decoder(field.type).decode,
        may_be_absent=True,
    )


def derive_attributes(record: type[msgspec.Struct], *, hash_key: str) -> dict[str, Attribute[Any]]:
    """Derive the attributes of a table's model from the fields of a struct."""
    return {field.name: _derive_attribute(field, is_hash_key=field.name == hash_key) for field in list_fields(record)}


def _derive_attribute(field: Field, *, is_hash_key: bool) -> Attribute[Any]:
    form = form_of(field)
    return form.attribute(hash_key=is_hash_key, null=field.is_optional or form.may_be_absent)


class StoredRecord:
    """Reads and writes the fields of one struct."""

    def __init__(self, record: type[msgspec.Struct]) -> None:
        self._forms = {field.name: form_of(field) for field in list_fields(record)}

    def encode(self, record: msgspec.Struct) -> dict[str, Any]:
        """Encode the fields of a struct as the values of its attributes; those that are None are not stored."""
        values = {name: getattr(record, name) for name in self._forms}
        return {name: self._forms[name].encode(value) for name, value in values.items() if value is not None}

    def decode(self, item: Item) -> dict[str, Any]:
        """Decode the fields that an item holds; its other attributes are left out."""
        stored = {name: next(iter(item[name].values())) for name in item.keys() & self._forms.keys()}
        return {name: self._forms[name].decode(value) for name, value in stored.items()}
