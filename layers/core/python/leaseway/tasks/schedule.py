"""Schedules: the slots of a cron expression or an interval, and which of them are due.

A slot is a moment, in milliseconds since the epoch. Where clocks change, cron expressions do what Debian's cron does:

- a fixed time that the spring change leaves out runs once, right after the gap;
- a fixed time that the autumn change brings twice runs once, the first time;
- an expression whose minute or hour begins with `*` follows elapsed time, so every hour really is every hour, and a
  time that the clock does not show, such as a midnight in the gap, has no slot.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

from leaseway.tasks.crontab import normalize
from leaseway.tasks.invalid_schedule import InvalidScheduleError
from leaseway.tasks.zones import find_change, find_offset, find_zone

SHORTEST_SECONDS = 60
"""Slots closer than the scheduler's own minute could not be kept apart."""

LONGEST_SECONDS = 31 * 86_400

_SECOND = timedelta(seconds=1)
_FIRST_STRETCH = timedelta(days=2)  # each further one is twice as long, so rare slots cost few looks at the zone

_interval = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


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
    """Slots of a cron expression of five fields, in a time zone.

    Raises:
        InvalidScheduleError: a field or a part of one cannot be read.
    """

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._expression = normalize(expression)
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
        minute, hour, *_ = self._expression.split()
        follows_elapsed_time = minute.startswith("*") or hour.startswith("*")
        start = datetime.fromtimestamp(moment / 1000, self._zone)
        for moment_of_slot in self._list_elapsed(start) if follows_elapsed_time else self._series(start):
            slot = int(moment_of_slot.timestamp()) * 1000
            # In the repeated hour of autumn, a fixed time that has passed would come again.
            if slot > moment:
                yield slot
        raise InvalidScheduleError(f"{self._expression!r} never comes", field="cron")

    def _list_elapsed(self, start: datetime) -> Iterator[datetime]:
        """The slots from `start` on, offset by offset: between two changes the zone's clock is a plain one."""
        start, length = start.astimezone(UTC), _FIRST_STRETCH
        while True:
            offset = find_offset(self._zone, start)
            end = find_change(self._zone, start, start + length)
            # One second earlier, because the series begins after the time that it is given.
            for clock in self._series((start + offset - _SECOND).replace(tzinfo=None)):
                slot = clock.replace(tzinfo=UTC) - offset
                if slot >= end:
                    break
                yield slot
            else:
                return
            start, length = end, length * 2

    def _series(self, start: datetime) -> Iterator[datetime]:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only the scheduler and changes of tasks need it

        try:
            return iter(CronSim(self._expression, start))
        except (CronSimError, ValueError, TypeError, AssertionError) as problem:
            # Odd mixtures such as 'L-3' fall through cronsim's own checks.
            raise InvalidScheduleError(f"{self._expression!r}: {problem}", field="cron") from problem


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
    return Cron(cron, find_zone(timezone))


def _seconds(every: str) -> int:
    parts = _interval.fullmatch(every)
    seconds = int(parts[1]) * _SECONDS[parts[2]] if parts else 0
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise InvalidScheduleError("must be a number with s, m, h or d, from 60s to 31d", field="every")
    return seconds
