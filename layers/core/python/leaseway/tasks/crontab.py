"""Check a cron expression part by part, and write it as cronsim reads it.

cronsim alone accepts steps that are never taken, such as `*/90`, and refuses ranges that end on Sunday by name.
"""

import re
from typing import NamedTuple

from leaseway.tasks.invalid_schedule import InvalidScheduleError

_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SECOND_SUNDAY = 7  # 0 is one too: a range can begin with Sunday or end on it

_line = re.compile(r"[\t -~]*", re.ASCII)
_part = re.compile(r"(?P<start>\*|[0-9]{1,4}|[A-Z]{3})(?:-(?P<end>[0-9]{1,4}|[A-Z]{3}))?(?:/(?P<step>[0-9]+))?")


class _Field(NamedTuple):
    """One of the five fields: its lowest and highest number, and the names of its values in their order."""

    name: str
    lowest: int
    highest: int
    size: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59, 60),
    _Field("hour", 0, 23, 24),
    _Field("day", 1, 31, 31),
    _Field("month", 1, 12, 12, _MONTHS),
    _Field("weekday", 0, _SECOND_SUNDAY, 7, _WEEKDAYS),
)


def normalize(expression: str) -> str:
    """The expression with names as numbers and with Sunday as 7 at the end of a range.

    Raises:
        InvalidScheduleError: not five fields, or a part that matches nothing or not what it seems to; names the part.
    """
    # Text in other alphabets may become letters of ASCII in capitals, and a line break would end a crontab's entry.
    texts = expression.upper().split() if _line.fullmatch(expression) else []
    if len(texts) != len(_FIELDS):
        raise InvalidScheduleError("a cron expression has five fields, such as '30 4 * * 1'", field="cron")
    return " ".join(
        ",".join(_normalize_part(field, part) for part in text.split(","))
        for field, text in zip(_FIELDS, texts, strict=True)
    )


def _normalize_part(field: _Field, part: str) -> str:
    match = _part.fullmatch(part)
    if match is None or (match["start"] == "*" and match["end"]):
        if "/" in part:
            raise _refuse(field, part, "has a step, which only *, a number or a range can have")
        return part  # such as L or MON#2, which cronsim checks
    start, end = _read_range(field, part, match["start"], match["end"], stepped=match["step"] is not None)
    if match["step"] is not None:
        _check_step(field, part, match["step"], min(end - start + 1, field.size))
    if match["end"] and start == end:
        return str(start)  # cronsim would read 5-5/1 as 5/1
    text = "*" if match["start"] == "*" else f"{start}-{end}" if match["end"] else str(start)
    return text if match["step"] is None else f"{text}/{int(match['step'])}"


def _read_range(field: _Field, part: str, first: str, last: str | None, *, stepped: bool) -> tuple[int, int]:
    if first == "*":
        return field.lowest, field.highest
    start = _read_value(field, part, first)
    if last is None:
        return start, field.highest if stepped else start
    end = _read_value(field, part, last)
    if field.names is _WEEKDAYS:
        if end == 0 < start:
            end = _SECOND_SUNDAY
        elif start == _SECOND_SUNDAY > end:
            start = 0
    if end < start:
        top = field.names[-1] if first in field.names else str(field.lowest + field.size - 1)
        bottom = field.names[0] if last in field.names else str(field.lowest)
        raise _refuse(field, part, f"ends before it begins; write {first}-{top},{bottom}-{last}".lower())
    return start, end


def _read_value(field: _Field, part: str, text: str) -> int:
    value = field.lowest + field.names.index(text) if text in field.names else int(text) if text.isdigit() else -1
    if not field.lowest <= value <= field.highest:
        names = f" or {field.names[0]} to {field.names[-1]}".lower() if field.names else ""
        raise _refuse(field, part, f"is not within {field.lowest} to {field.highest}{names}")
    return value


def _check_step(field: _Field, part: str, step: str, size: int) -> None:
    digits = step.lstrip("0")
    if not digits:
        raise _refuse(field, part, "has a step of 0")
    # Compared by length first: Python refuses to read numbers of thousands of digits.
    if len(digits) > len(str(size)) or int(digits) > size:
        raise _refuse(field, part, f"has a step that is larger than its range, which has {size} values")


def _refuse(field: _Field, part: str, why: str) -> InvalidScheduleError:
    return InvalidScheduleError(f"{field.name} {part.lower()!r} {why}", field="cron")
