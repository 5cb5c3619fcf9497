"""Slots of expressions and intervals, on both sides of a clock change."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway.tasks.schedule import Due, InvalidScheduleError, schedule

BERLIN = "Europe/Berlin"
MINUTE = 60_000


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1000


def slots(cron: str, after: int, count: int, zone: str = BERLIN) -> list[str]:
    series = schedule(cron, None, zone, 0)
    found = []
    for _ in range(count):
        after = series.next_after(after)
        found.append(datetime.fromtimestamp(after / 1000, ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def test_a_fixed_time_that_spring_leaves_out_runs_right_after_the_gap():
    # Berlin, 29 March 2026: after 01:59 comes 03:00.
    assert slots("30 2 * * *", ms("2026-03-28T12:00", BERLIN), 2) == ["29 03:00+0200", "30 02:30+0200"]


def test_two_fixed_times_in_the_gap_run_once():
    assert slots("0,30 2 * * *", ms("2026-03-28T12:00", BERLIN), 2) == ["29 03:00+0200", "30 02:00+0200"]


def test_every_half_hour_stays_every_half_hour_in_spring():
    after = ms("2026-03-29T01:00", BERLIN)
    assert slots("*/30 * * * *", after, 3) == ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"]


def test_a_fixed_time_that_autumn_brings_twice_runs_the_first_time():
    # Berlin, 25 October 2026: after 02:59 summer time comes 02:00 winter time.
    assert slots("30 2 * * *", ms("2026-10-24T12:00", BERLIN), 2) == ["25 02:30+0200", "26 02:30+0100"]


def test_a_fixed_time_does_not_come_again_when_asked_in_the_repeated_hour():
    within = ms("2026-10-25T02:10", BERLIN, fold=1)
    assert slots("30 2 * * *", within, 1) == ["26 02:30+0100"]


def test_an_hourly_slot_runs_in_both_repeated_hours():
    after = ms("2026-10-25T02:00", BERLIN)
    assert slots("30 * * * *", after, 3) == ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]


def test_the_same_expression_without_a_zone_knows_no_change():
    assert slots("30 2 * * *", ms("2026-03-28T12:00"), 2, zone="UTC") == ["29 02:30+0000", "30 02:30+0000"]


def test_an_interval_counts_from_its_anchor_whatever_the_hour():
    series = schedule(None, "90s", "UTC", anchor=1_000)
    assert [series.next_after(moment) for moment in (0, 1_000, 90_999, 91_000)] == [91_000, 91_000, 91_000, 181_000]


@pytest.mark.parametrize(("every", "seconds"), [("60s", 60), ("5m", 300), ("2h", 7_200), ("31d", 31 * 86_400)])
def test_an_interval_has_a_unit(every, seconds):
    assert schedule(None, every, "UTC", 0).next_after(0) == seconds * 1000


@pytest.mark.parametrize(
    ("cron", "every", "zone", "field"),
    [
        (None, None, "UTC", None),
        ("* * * * *", "5m", "UTC", "cron"),
        (None, "59s", "UTC", "every"),
        (None, "32d", "UTC", "every"),
        (None, "5", "UTC", "every"),
        (None, "1.5m", "UTC", "every"),
        (None, "-5m", "UTC", "every"),
        (None, "\u0665m", "UTC", "every"),
        ("@daily", None, "UTC", "cron"),
        ("* * * *", None, "UTC", "cron"),
        ("* * * * * *", None, "UTC", "cron"),
        ("61 * * * *", None, "UTC", "cron"),
        ("0 0 30 2 *", None, "UTC", "cron"),
        ("0 0 * * MON#9", None, "UTC", "cron"),
        ("0 0 * * *", None, "Europe/Atlantis", "timezone"),
        ("0 0 * * *", None, "Europe", "timezone"),
        ("0 0 * * *", None, "../../etc/passwd", "timezone"),
        ("0 0 * * *", None, "", "timezone"),
    ],
)
def test_what_cannot_be_kept_is_refused(cron, every, zone, field):
    with pytest.raises(InvalidScheduleError) as refused:
        schedule(cron, every, zone, 0).next_after(ms("2026-01-01T00:00"))
    assert refused.value.field == field


@given(st.lists(st.text("0123456789*/,-#LWMON", min_size=1, max_size=6), min_size=5, max_size=5))
def test_any_text_is_a_schedule_or_refused(fields):
    with suppress(InvalidScheduleError):
        assert schedule(" ".join(fields), None, BERLIN, 0).next_after(ms("2026-01-01T00:00")) > ms("2026-01-01T00:00")


@pytest.mark.parametrize("spec", [("*/7 * * * *", None), (None, "7m")])
def test_what_is_due_is_counted(spec):
    series = schedule(*spec, "UTC", 0)
    first = series.next_after(ms("2026-05-01T00:00"))
    later = [first]
    for _ in range(3):
        later.append(series.next_after(later[-1]))

    assert series.due(first, first) == Due(first, None, 0, later[1])
    assert series.due(first, later[2] + MINUTE) == Due(later[2], later[1], 2, later[3])
