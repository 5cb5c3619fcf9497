"""Time zones by name, and the moments at which their clocks change."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from leaseway.tasks.invalid_schedule import InvalidScheduleError

_zone_name = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)

# Files beside the zones: what a machine is set to, a placeholder, and copies with other rules for leap seconds.
_NO_ZONES = frozenset({"localtime", "factory", "posixrules", "posix", "right"})

_PROBE = timedelta(hours=12)
_SECOND = timedelta(seconds=1)


def find_zone(name: str) -> tzinfo:
    """A time zone by its name in the IANA database, such as `Europe/Berlin`.

    Raises:
        InvalidScheduleError: there is none of that name; the detail has the name with the right capitals, if any.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most tasks are in UTC

    try:
        if not _zone_name.fullmatch(name) or name.partition("/")[0].lower() in _NO_ZONES:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as problem:
        hint = _suggest(name)
        raise InvalidScheduleError(f"there is no time zone {name!r}{hint}", field="timezone") from problem


def _suggest(name: str) -> str:
    from zoneinfo import available_timezones  # noqa: PLC0415 - reads the database's folders; only for a refusal

    for known in available_timezones():
        if known.lower() == name.lower() != known and known.lower() not in _NO_ZONES:
            return f"; did you mean {known!r}?"
    return ""


def find_offset(zone: tzinfo, moment: datetime) -> timedelta:
    """How far the zone's clock is ahead of UTC at a moment."""
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - the moment has a zone now
    return offset


def find_change(zone: tzinfo, start: datetime, end: datetime) -> datetime:
    """The first moment after `start` at which the zone's offset is another, or `end` if it stays."""
    offset = find_offset(zone, start)
    while start < end:
        probe = min(start + _PROBE, end)
        if find_offset(zone, probe) != offset:
            return _bisect_change(zone, start, probe, offset)
        start = probe
    return end


def _bisect_change(zone: tzinfo, before: datetime, after: datetime, offset: timedelta) -> datetime:
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if find_offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
