"""Reading of what AWS answers: botocore's parsers, with every answer checked against its operation's description.

botocore trusts an answer. A body of another kind makes its parsers fail with any exception, a number in place of a text
is returned as it is, and a field that is missing is a KeyError in the code that reads it. A proxy, another program on
the port, or an engine of another version answers like that, so each of these is an `AwsAnswerError` here. A wrong field
is one only if it is read: engines deviate from AWS in fields that nothing here uses.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import ResponseParser, ResponseParserFactory

from leaseway_local.errors import LocalCloudError

_FIRST_ERROR_STATUS = 301  # as botocore's parsers have it
_LONGEST_REASON = 200

_CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value, int),
    "long": lambda value: _is_number(value, int),
    "float": lambda value: _is_number(value, int | float) and math.isfinite(value),
    "double": lambda value: _is_number(value, int | float) and math.isfinite(value),
    "timestamp": lambda value: isinstance(value, datetime),
}
"""What a value must be, by the type in the service's description; a blob is bytes or a stream."""


class AwsAnswerError(LocalCloudError):
    """What AWS, or what stands in its place, answered is not what the operation's description says."""

    def __init__(self, answer: str, why: str) -> None:
        super().__init__(
            f"AWS's {answer} {why}.", "Does AWS or a local engine answer there? Check --target and the addresses."
        )


class Fields(dict[str, Any]):
    """The fields of a structure. Reading one that AWS left out, or that has another type, names it.

    Raises:
        AwsAnswerError: by subscripting, for a field that the structure may have and that this answer lacks; and by
            `get` too, for a field whose value is not what the description says.
    """

    def __init__(self, shape: StructureShape, answer: str) -> None:
        super().__init__()
        self._shape = shape
        self._answer = answer
        self._wrong: dict[str, AwsAnswerError] = {}

    def reject(self, name: str, error: AwsAnswerError) -> None:
        """Leave out a field whose value is wrong, and raise `error` when it is read."""
        self._wrong[name] = error

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default` if the answer lacks it."""
        if name in self._wrong:
            raise self._wrong[name]
        return super().get(name, default)

    def __missing__(self, name: str) -> Any:
        if name in self._wrong:
            raise self._wrong[name]
        if name in self._shape.members:
            raise AwsAnswerError(self._answer, f"has no field {name!r} in {self._shape.name}")
        raise KeyError(name)  # no answer has such a field: the name in the code is wrong


class CheckingParserFactory(ResponseParserFactory):
    """Creates botocore's parsers, each behind the check; a component of a botocore session."""

    def create_parser(self, protocol_name: str) -> Any:
        """Create the parser of a protocol, such as `rest-json`."""
        return _CheckingParser(super().create_parser(protocol_name))


class _CheckingParser:
    def __init__(self, parser: ResponseParser) -> None:
        self._parser = parser

    def parse(self, response: Any, shape: Any) -> Any:
        answer = shape.name if shape else "answer"
        try:
            parsed = self._parser.parse(response, shape)
        except Exception as problem:  # all that it reads is the answer, so the answer is the cause
            reason = " ".join(f"{type(problem).__name__}: {problem}".split())
            raise AwsAnswerError(answer, f"cannot be read: {reason[:_LONGEST_REASON]}") from problem
        if not isinstance(parsed, dict):
            raise AwsAnswerError(answer, "is not an object")
        if response["status_code"] >= _FIRST_ERROR_STATUS:
            return _check_refusal(answer, parsed)
        return _check(shape, parsed, answer) if isinstance(shape, StructureShape) else parsed


def _check_refusal(answer: str, parsed: dict[str, Any]) -> dict[str, Any]:
    for name, value in parsed.get("Error", {}).items():
        if name in {"Code", "Message"} and not isinstance(value, str):
            raise AwsAnswerError(answer, f"is a refusal whose {name} is not a text")
    return parsed


def _check(shape: Shape, value: Any, answer: str) -> Any:
    """Return the value with its structures as `Fields`, which keep the errors of their own fields.

    Raises:
        AwsAnswerError: the value is not of the type that the description gives it.
    """
    match shape:
        case StructureShape():
            return _check_fields(shape, _require(dict, shape, value, answer), answer)
        case ListShape():
            return [_check(shape.member, inner, answer) for inner in _require(list, shape, value, answer)]
        case MapShape():
            return {key: _check(shape.value, inner, answer) for key, inner in _check_keys(shape, value, answer)}
    if not _CHECKS.get(shape.type_name, lambda _: True)(value):
        raise AwsAnswerError(answer, f"has a value that is not a {shape.type_name} as {shape.name}")
    return value


def _check_fields(shape: StructureShape, values: Mapping[str, Any], answer: str) -> Fields:
    fields = Fields(shape, answer)
    for name, value in values.items():
        try:
            # ResponseMetadata is botocore's own.
            fields[name] = _check(shape.members[name], value, answer) if name in shape.members else value
        except AwsAnswerError as error:
            fields.reject(name, error)
    return fields


def _check_keys(shape: MapShape, value: Any, answer: str) -> Any:
    pairs: Mapping[Any, Any] = _require(dict, shape, value, answer)
    for key in pairs:
        _check(shape.key, key, answer)
    return pairs.items()


def _require(kind: type, shape: Shape, value: Any, answer: str) -> Any:
    if not isinstance(value, kind):
        raise AwsAnswerError(answer, f"has a value that is not a {shape.type_name} as {shape.name}")
    return value


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)
