"""Checks an answer where it arrives: it is JSON, with the fields and types that its reader expects."""

import json
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

from leaseway_local.errors import LocalCloudError

Shape = TypeVar("Shape")


class UnexpectedAnswerError(LocalCloudError):
    """An answer of the deployment is not what this version of `leaseway` can read."""

    def __init__(self, why: str, *, of: str = "the API's answer") -> None:
        super().__init__(f"{of} {why}.", "Is the deployment of another version? `leaseway status` shows it.")


def check_answer(document: Any, shape: type[Shape], *, of: str = "the API's answer") -> Shape:
    """Return `document` unchanged, after checking that it has the fields of `shape`.

    Raises:
        UnexpectedAnswerError: a field is missing or of another type; names the field.
    """
    try:
        msgspec.convert(document, shape)
    except (ValueError, RecursionError) as problem:
        raise UnexpectedAnswerError(f"is not as expected: {problem}", of=of) from problem
    return cast(Shape, document)


def parse_answer(content: bytes | str, shape: type[Shape], *, of: str) -> Shape:
    """Parse JSON and check it.

    Raises:
        UnexpectedAnswerError: it is not JSON, or a field is missing or of another type.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise UnexpectedAnswerError("is not JSON", of=of) from problem
    return check_answer(document, shape, of=of)


def parse_time(rfc3339: str) -> datetime:
    """Parse a time of an answer.

    Raises:
        UnexpectedAnswerError: it is not a time with an offset from UTC.
    """
    try:
        moment = datetime.fromisoformat(rfc3339)
    except ValueError as problem:
        raise UnexpectedAnswerError(f"has a time that cannot be read: {rfc3339!r}") from problem
    if moment.tzinfo is None or moment.year == datetime.max.year:
        raise UnexpectedAnswerError(f"has a time that cannot be reckoned with: {rfc3339!r}")
    return moment
