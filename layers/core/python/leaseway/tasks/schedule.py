"""Schedules: the slots of a cron expression or an interval, and which of them are due.

A slot is a moment, in milliseconds since the epoch. Where clocks change, cron expressions do what Debian's cron does:

- a fixed time that the spring change leaves out runs once, right after the gap;
- a fixed time that the autumn change brings twice runs once, the first time;
- an expression whose minute or hour begins with `*` follows elapsed time, so every hour really is every hour.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, Protocol

from leaseway.errors import InvalidInputError

SHORTEST_SECONDS = 60
"""Slots closer than the scheduler's own minute could not be kept apart."""

LONGEST_SECONDS = 31 * 86_400

_interval = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_zone_name = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


class InvalidScheduleError(InvalidInputError):
    """The schedule cannot be kept."""

    code = "INVALID_SCHEDULE"


class Due(NamedTuple):
    """The slots of a schedule that have come: only the latest may run."""

    slot: int
    """The latest one."""
    before: int | None
    """The one before it, where it is due too."""
    missed: int
    """How many are due before it."""
    next: int
    """The first one that has not come."""


class Schedule(Protocol):
    """An endless series of slots."""

    def next_after(self, moment: int) -> int:
        """The first slot later than `moment`."""

    def due(self, first: int, now: int) -> Due:
        """What is due at `now`, from slot `first` on, which is."""


class Interval:
    """Slots at equal distances: `anchor` and every `seconds` after it."""

    def __init__(self, seconds: int, anchor: int) -> None:
        self._step = seconds * 1000
        self._anchor = anchor

    def next_after(self, moment: int) -> int:
        """The first slot later than `moment`, and at least one step after the anchor."""
        passed = max(0, moment - self._anchor) // self._step
        return self._anchor + (passed + 1) * self._step

    def due(self, first: int, now: int) -> Due:
        """What is due at `now`; the same effort for any number of slots."""
        missed = (now - first) // self._step
        slot = first + missed * self._step
        return Due(slot, slot - self._step if missed else None, missed, slot + self._step)


class Cron:
    """Slots of a cron expression of five fields, in a time zone."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._expression = expression
        self._zone = zone

    def next_after(self, moment: int) -> int:
        """The first slot later than `moment`.

        Raises:
            InvalidScheduleError: there is none, such as of a 30th of February.
        """
        return next(self._after(moment))

    def due(self, first: int, now: int) -> Due:
        """What is due at `now`; counts through the missed slots, about 200,000 a second."""
        slot, before, missed = first, None, 0
        for following in self._after(first):
            if following > now:
                return Due(slot, before, missed, following)
            slot, before, missed = following, slot, missed + 1
        raise AssertionError  # the series has no end but an error

    def _after(self, moment: int) -> Iterator[int]:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only the scheduler and changes of tasks need it

        try:
            series = CronSim(self._expression, datetime.fromtimestamp(moment / 1000, self._zone))
        except (CronSimError, ValueError, TypeError, AssertionError) as problem:
            # Odd mixtures such as 'L-3' fall through cronsim's own checks.
            raise InvalidScheduleError(f"{self._expression!r}: {problem}", field="cron") from problem
        for found in series:
            slot = int(found.timestamp()) * 1000
            # In the repeated hour of autumn, a fixed time that has passed would come again.
            if slot > moment:
                yield slot
        raise InvalidScheduleError(f"{self._expression!r} never comes", field="cron")


def schedule(cron: str | None, every: str | None, timezone: str, anchor: int) -> Schedule:
    """The schedule that a task names: either `cron` or `every`.

    Raises:
        InvalidScheduleError: both or neither, or one that cannot be read; names the field.
    """
    if (cron is None) == (every is None):
        raise InvalidScheduleError("give either cron or every", field="cron" if cron is not None else None)
    if every is not None:
        return Interval(_seconds(every), anchor)
    assert cron is not None  # noqa: S101 - one of the two is given
    if len(cron.split()) != 5:
        raise InvalidScheduleError("a cron expression has five fields, such as '30 4 * * 1'", field="cron")
    return Cron(cron, zone(timezone))


def _seconds(every: str) -> int:
    found = _interval.fullmatch(every)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise InvalidScheduleError("must be a number with s, m, h or d, from 60s to 31d", field="every")
    return seconds


def zone(name: str) -> tzinfo:
    """A time zone by its name, such as `Europe/Berlin`.

    Raises:
        InvalidScheduleError: there is none of that name.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most tasks are in UTC

    try:
        if not _zone_name.fullmatch(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as problem:
        raise InvalidScheduleError(f"there is no time zone {name!r}", field="timezone") from problem
