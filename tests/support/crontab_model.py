"""What a crontab means, minute by minute and without cronsim: the model that schedules are held to."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def list_cron_slots(expression: str, zone: str, start: int, end: int) -> list[int]:
    """List the slots in (start, end], milliseconds, of an expression whose day and month are `*`."""
    minute, hour, _, _, weekday = expression.split()
    minutes, hours, weekdays = (
        parse_field(minute, range(60)),
        parse_field(hour, range(24)),
        parse_field(weekday, range(7)),
    )
    place = ZoneInfo(zone)
    every_time = minute.startswith("*") or hour.startswith("*")
    moments = (
        _walk_every_minute(start, end, place) if every_time else _walk_times_of_day(start, end, place, minutes, hours)
    )
    return sorted(
        {
            int(moment.timestamp()) * 1000
            for moment, local in moments
            if local.minute in minutes and local.hour in hours and (local.weekday() + 1) % 7 in weekdays
            and start < moment.timestamp() * 1000 <= end
        }
    )  # fmt: skip


def list_interval_slots(seconds: int, anchor: int, start: int, end: int) -> list[int]:
    """List the slots in (start, end] of an interval."""
    step = seconds * 1000
    return [slot for slot in range(anchor + step, end + 1, step) if slot > start]


def parse_field(text: str, values: range) -> set[int]:
    """Return the values of one field: `*`, `*/n`, `a` or `a,b`."""
    if text.startswith("*"):
        return set(values[:: int(text[2:] or 1)])
    return {int(part) for part in text.split(",")}


def _walk_every_minute(start: int, end: int, place: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Every minute that passes, and what the clock shows in it."""
    moment = datetime.fromtimestamp(start // 60_000 * 60, UTC)
    while moment.timestamp() * 1000 <= end:
        yield moment, moment.astimezone(place)
        moment += MINUTE


def _walk_times_of_day(
    start: int, end: int, place: ZoneInfo, minutes: set[int], hours: set[int]
) -> Iterator[tuple[datetime, datetime]]:
    """Every time of day once a day: when the clock first shows it, or right after the gap that leaves it out."""
    day = datetime.fromtimestamp(start / 1000, place).date() - timedelta(days=1)
    while day <= datetime.fromtimestamp(end / 1000, place).date():
        for hour in hours:
            for minute in minutes:
                local_time = datetime.combine(day, time(hour, minute), place)
                yield _find_first_shown(local_time, day, place), local_time
        day += timedelta(days=1)


def _find_first_shown(local_time: datetime, day: date, place: ZoneInfo) -> datetime:
    round_trip = local_time.astimezone(UTC).astimezone(place)
    if round_trip.replace(tzinfo=None) == local_time.replace(tzinfo=None):
        return local_time
    # In a gap: go through the day's real minutes to the first that shows something later.
    moment = datetime.combine(day, time(0), place).astimezone(UTC)
    while moment.astimezone(place).replace(tzinfo=None) < local_time.replace(tzinfo=None):
        moment += MINUTE
    return moment
