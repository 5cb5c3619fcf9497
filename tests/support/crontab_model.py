"""What a crontab means, minute by minute and without cronsim: the model that schedules are held to."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def cron_slots(expression: str, zone: str, start: int, end: int) -> list[int]:
    """The slots in (start, end], milliseconds, of an expression whose day and month are `*`."""
    minute, hour, _, _, weekday = expression.split()
    minutes, hours, weekdays = field(minute, range(60)), field(hour, range(24)), field(weekday, range(7))
    place = ZoneInfo(zone)
    every_time = minute.startswith("*") or hour.startswith("*")
    found = _elapsed(start, end, place) if every_time else _wall_clock(start, end, place, minutes, hours)
    return sorted(
        {
            int(moment.timestamp()) * 1000
            for moment, wanted in found
            if wanted.minute in minutes and wanted.hour in hours and (wanted.weekday() + 1) % 7 in weekdays
            and start < moment.timestamp() * 1000 <= end
        }
    )  # fmt: skip


def interval_slots(seconds: int, anchor: int, start: int, end: int) -> list[int]:
    """The slots in (start, end] of an interval."""
    step = seconds * 1000
    return [slot for slot in range(anchor + step, end + 1, step) if slot > start]


def field(text: str, values: range) -> set[int]:
    """The values of one field: `*`, `*/n`, `a` or `a,b`."""
    if text.startswith("*"):
        return set(values[:: int(text[2:] or 1)])
    return {int(part) for part in text.split(",")}


def _elapsed(start: int, end: int, place: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Every minute that passes, and what the clock shows in it."""
    moment = datetime.fromtimestamp(start // 60_000 * 60, UTC)
    while moment.timestamp() * 1000 <= end:
        yield moment, moment.astimezone(place)
        moment += MINUTE


def _wall_clock(
    start: int, end: int, place: ZoneInfo, minutes: set[int], hours: set[int]
) -> Iterator[tuple[datetime, datetime]]:
    """Every time of day once a day: when the clock first shows it, or right after the gap that leaves it out."""
    day = datetime.fromtimestamp(start / 1000, place).date() - timedelta(days=1)
    while day <= datetime.fromtimestamp(end / 1000, place).date():
        for hour in hours:
            for minute in minutes:
                wanted = datetime.combine(day, time(hour, minute), place)
                yield _first_shown(wanted, day, place), wanted
        day += timedelta(days=1)


def _first_shown(wanted: datetime, day: date, place: ZoneInfo) -> datetime:
    shown = wanted.astimezone(UTC).astimezone(place)
    if shown.replace(tzinfo=None) == wanted.replace(tzinfo=None):
        return wanted
    # In a gap: go through the day's real minutes to the first that shows something later.
    moment = datetime.combine(day, time(0), place).astimezone(UTC)
    while moment.astimezone(place).replace(tzinfo=None) < wanted.replace(tzinfo=None):
        moment += MINUTE
    return moment
