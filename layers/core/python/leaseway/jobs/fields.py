"""How a field of a job is declared: once, in `Job`; its stored form and its view derive from that line.

    order_key: Annotated[Public[str | None], Meta(description="It waits for ...")] = default(None)

The views of the API show `Public` fields, and its documents their `Meta`; they never show `Internal` ones. The type is
the one that a `Job` holds: `leaseway.jobs.table` derives the attribute of the item from it, and `api.job_views` the
form in JSON. To mypy, `job.order_key` has that type and `JobModel.order_key` is an attribute of the table.
"""

from enum import Enum
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar, get_args, get_origin, overload

import msgspec

if TYPE_CHECKING:
    from pynamodb.attributes import Attribute

    from leaseway.dynamodb.table import Table

T = TypeVar("T")


class Unit(Enum):
    """What a number counts, if its type does not say it."""

    MILLISECONDS = "milliseconds since the epoch, UTC"
    SECONDS = "seconds since the epoch, UTC"
    THOUSANDTHS = "thousandths of the whole"


Milliseconds = Annotated[int, Unit.MILLISECONDS]
Seconds = Annotated[int, Unit.SECONDS]
Thousandths = Annotated[int, Unit.THOUSANDTHS]


class _Declared(Generic[T]):
    """To mypy a descriptor: a value in a `Job`, an attribute in the model of its table."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type[Table]) -> Attribute[T]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Any:
            """Return the value or the attribute."""

        def __set__(self, instance: object, value: T) -> None:
            """Give the constructor of `Job` the type of its parameter."""


class Internal(_Declared[T]):
    """`Internal[type]`: a field that no view shows."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, value_type: Any) -> Any:
            """Return the type that a `Job` holds."""
            return value_type


class Public(_Declared[T]):
    """`Public[type]`: a field that the views of the API show."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, value_type: Any) -> Any:
            """Return the type that a `Job` holds, with this class as its mark."""
            return Annotated[value_type, cls]


def default(value: object) -> Any:
    """Declare the value that a field has if the constructor is called without it."""
    return value


class Field(NamedTuple):
    """The declaration of a field, read."""

    name: str
    type: Any
    """The type that a `Job` holds, without None."""
    is_optional: bool
    is_public: bool
    unit: Unit | None
    meta: msgspec.Meta | None


@cache
def list_fields(record: type[msgspec.Struct]) -> tuple[Field, ...]:
    """List the declared fields of a struct, in their order."""
    return tuple(_read_field(name, _annotation_of(record, name)) for name in record.__struct_fields__)


def _annotation_of(record: type, name: str) -> Any:
    return next(base.__annotations__[name] for base in record.__mro__ if name in vars(base).get("__annotations__", ()))


def _read_field(name: str, annotation: Any) -> Field:
    value_type, marks = _split(annotation)
    is_optional = NoneType in get_args(value_type)
    if is_optional:
        value_type, more_marks = _split(next(part for part in get_args(value_type) if part is not NoneType))
        marks += more_marks
    unit = next((mark for mark in marks if isinstance(mark, Unit)), None)
    meta = next((mark for mark in marks if isinstance(mark, msgspec.Meta)), None)
    return Field(name, value_type, is_optional, Public in marks, unit, meta)


def _split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split `Annotated[type, *marks]`; another annotation has no marks."""
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    value_type, *marks = get_args(annotation)
    return value_type, tuple(marks)
