"""Slots of expressions and intervals, on both sides of a clock change."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway.tasks.invalid_schedule import InvalidScheduleError
from leaseway.tasks.schedule import Due, schedule

BERLIN = "Europe/Berlin"
MINUTE = 60_000


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1000


def slots(cron: str, after: int, count: int, zone: str = BERLIN) -> list[str]:
    series = schedule(cron, None, zone, 0)
    times = []
    for _ in range(count):
        after = series.next_after(after)
        times.append(datetime.fromtimestamp(after / 1000, ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return times


def test_a_fixed_time_that_spring_leaves_out_runs_right_after_the_gap() -> None:
    # Berlin, 29 March 2026: after 01:59 comes 03:00.
    assert slots("30 2 * * *", ms("2026-03-28T12:00", BERLIN), 2) == ["29 03:00+0200", "30 02:30+0200"]


def test_two_fixed_times_in_the_gap_run_once() -> None:
    assert slots("0,30 2 * * *", ms("2026-03-28T12:00", BERLIN), 2) == ["29 03:00+0200", "30 02:00+0200"]


def test_every_half_hour_stays_every_half_hour_in_spring() -> None:
    after = ms("2026-03-29T01:00", BERLIN)
    assert slots("*/30 * * * *", after, 3) == ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"]


def test_a_fixed_time_that_autumn_brings_twice_runs_the_first_time() -> None:
    # Berlin, 25 October 2026: after 02:59 summer time comes 02:00 winter time.
    assert slots("30 2 * * *", ms("2026-10-24T12:00", BERLIN), 2) == ["25 02:30+0200", "26 02:30+0100"]


def test_a_fixed_time_does_not_come_again_when_asked_in_the_repeated_hour() -> None:
    within = ms("2026-10-25T02:10", BERLIN, fold=1)
    assert slots("30 2 * * *", within, 1) == ["26 02:30+0100"]


def test_an_hourly_slot_runs_in_both_repeated_hours() -> None:
    after = ms("2026-10-25T02:00", BERLIN)
    assert slots("30 * * * *", after, 3) == ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]


def test_the_same_expression_without_a_zone_knows_no_change() -> None:
    assert slots("30 2 * * *", ms("2026-03-28T12:00"), 2, zone="UTC") == ["29 02:30+0000", "30 02:30+0000"]


def test_an_interval_counts_from_its_anchor_whatever_the_hour() -> None:
    series = schedule(None, "90s", "UTC", anchor=1_000)
    assert [series.next_after(moment) for moment in (0, 1_000, 90_999, 91_000)] == [91_000, 91_000, 91_000, 181_000]


@pytest.mark.parametrize(("every", "seconds"), [("60s", 60), ("5m", 300), ("2h", 7_200), ("31d", 31 * 86_400)])
def test_an_interval_has_a_unit(every: str, seconds: int) -> None:
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
def test_what_cannot_be_kept_is_refused(cron: str | None, every: str | None, zone: str, field: str | None) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        schedule(cron, every, zone, 0).next_after(ms("2026-01-01T00:00"))
    assert refused.value.field == field


@given(st.lists(st.text("0123456789*/,-#LWMON", min_size=1, max_size=6), min_size=5, max_size=5))
def test_any_text_is_a_schedule_or_refused(fields: list[str]) -> None:
    with suppress(InvalidScheduleError):
        assert schedule(" ".join(fields), None, BERLIN, 0).next_after(ms("2026-01-01T00:00")) > ms("2026-01-01T00:00")


@pytest.mark.parametrize("spec", [("*/7 * * * *", None), (None, "7m")])
def test_what_is_due_is_counted(spec: tuple[str | None, str | None]) -> None:
    series = schedule(*spec, "UTC", 0)
    first = series.next_after(ms("2026-05-01T00:00"))
    later = [first]
    for _ in range(3):
        later.append(series.next_after(later[-1]))

    assert series.due(first, first) == Due(first, None, 0, later[1])
    assert series.due(first, later[2] + MINUTE) == Due(later[2], later[1], 2, later[3])


@pytest.mark.parametrize(
    ("cron", "part"),
    [
        ("*/90 * * * *", "minute '*/90'"),
        ("*/61 * * * *", "minute '*/61'"),
        ("0 */25 * * *", "hour '*/25'"),
        ("0 1/120 * * *", "hour '1/120'"),
        ("0 8-18/48 * * *", "hour '8-18/48'"),
        ("0 0 1/45 * *", "day '1/45'"),
        ("0 0 1 */13 *", "month '*/13'"),
        ("0 0 1 jan-jun/24 *", "month 'jan-jun/24'"),
        ("0 0 * * */8", "weekday '*/8'"),
        ("0 0 * * mon/14", "weekday 'mon/14'"),
        ("0 0 * * 0-7/8", "weekday '0-7/8'"),
        ("0,*/99 * * * *", "minute '*/99'"),
        (f"*/{'9' * 90} * * * *", "minute '*/999"),
        ("0 0 L/2 * *", "day 'l/2'"),
        ("59/2 * * * *", "minute '59/2'"),
        ("5/56 * * * *", "minute '5/56'"),
        ("0-10/12 * * * *", "minute '0-10/12'"),
        ("*/1,*/90 * * * *", "minute '*/90'"),
        ("0 23/2 * * *", "hour '23/2'"),
        ("0 0 31/2 * *", "day '31/2'"),
        ("0 0 1-1/2 * *", "day '1-1/2'"),
        ("0 0 1 dec/2 *", "month 'dec/2'"),
        ("0 0 * * 7/2", "weekday '7/2'"),
        ("0 0 * * sun-sun/7", "weekday 'sun-sun/7'"),
        ("*/00 * * * *", "minute '*/00'"),
    ],
)
def test_a_step_that_can_never_be_taken_is_refused_by_its_part(cron: str, part: str) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        schedule(cron, None, "UTC", 0)
    assert refused.value.field == "cron"
    assert str(refused.value).startswith(part)


NO_EXPRESSIONS = [
    *("0 0 * * *\n", "\n0 0 * * *", "0 0\n* * *", "0 0 * * *\r\n", "0\xa00 * * *", "0\u20030 * * *"),
    *("0\x0b0 * * *", "0 0 * * mon\x00", "0 0 * * \ud800", "0 0 * \u017fep *", "0 0 * * fri-\u017fun"),
    *("\u0665 0 * * *", "\uff11 0 * * *", "", " ", "\t", "@daily", "@every 5m", "TZ=UTC 0 0 * * *"),
    *("0 0 * * * # at midnight", "0 0 1 * * 2027", "*/ 5 * * * *", "0 0 ? * *", "0 0 * * ?", "H 0 * * *"),
    *("0~30 * * * *", "0 0 15W * *", "0 0 L-3 * *", "0 0 * * L", "0 0 * * 1#6", "0 0 * * 1#0", "0 0 * * 8#1"),
    *("0 0 * * monday", "0 0 1 january *", "0 0 0 * *", "0 24 * * *", "0 0 * 0 *", "0 0 * 13 *", "0 0 * * 8"),
    *("1,,2 0 * * *", ",1 0 * * *", "1, 0 * * *", "1-2-3 0 * * *", "5- 0 * * *", "*-5 0 * * *", "1-* 0 * * *"),
    *("*/5/2 0 * * *", "1/ 0 * * *", "/5 0 * * *", "*/+5 0 * * *", "*/5.0 0 * * *", "0 0 30 2 *", "0 0 31 2 *"),
    *("0 0 31 4,6,9,11 *", "0 0 30-31 feb *", "999999999999999999999 0 * * *"),
]


@pytest.mark.parametrize("cron", NO_EXPRESSIONS)
def test_what_is_no_expression_of_five_fields_is_refused(cron: str) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        schedule(cron, None, "UTC", 0).next_after(ms("2026-01-01T00:00"))
    assert refused.value.field == "cron"


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 0 29 2 *", "2028-02-29 2032-02-29 2036-02-29"),
        ("0 0 29-31 feb *", "2028-02-29 2032-02-29 2036-02-29"),
        ("0 0 31 * *", "2026-01-31 2026-03-31 2026-05-31"),
        ("0 0 L * *", "2026-01-31 2026-02-28 2026-03-31"),
        ("0 0 L 2 *", "2026-02-28 2027-02-28 2028-02-29"),
        ("0 0 LW * *", "2026-01-30 2026-02-27 2026-03-31"),
        ("0 0 * * 5L", "2026-01-30 2026-02-27 2026-03-27"),
        ("0 0 * * mon#5", "2026-03-30 2026-06-29 2026-08-31"),
        ("0 0 * * 7#1", "2026-01-04 2026-02-01 2026-03-01"),
        ("0 0 * * 0,7", "2026-01-04 2026-01-11 2026-01-18"),
        ("0 0 30 2 mon", "2026-02-02 2026-02-09 2026-02-16"),
        ("0 0 1,15 * 5", "2026-01-02 2026-01-09 2026-01-15"),
        ("0 0 1 Jan,MAR-may *", "2026-03-01 2026-04-01 2026-05-01"),
        ("00 000 01 1 *", "2027-01-01 2028-01-01 2029-01-01"),
        ("\t0  0\t1 1 * ", "2027-01-01 2028-01-01 2029-01-01"),
    ],
)
def test_days_that_are_rare_or_named_in_many_ways_come_when_they_should(cron: str, days: str) -> None:
    series, moment, dates = schedule(cron, None, "UTC", 0), ms("2026-01-01T00:01"), []
    for _ in range(3):
        moment = series.next_after(moment)
        dates.append(datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d"))
    assert " ".join(dates) == days


@pytest.mark.parametrize("cron", ["*/60 * * * *", "0 */24 * * *", "0 0 */31 * *", "0 0 1 */12 *", "0 0 * * */7"])
def test_the_largest_step_is_the_size_of_the_field(cron: str) -> None:
    assert schedule(cron, None, "UTC", 0).next_after(0) > 0


def test_a_range_of_one_value_with_a_step_is_that_value() -> None:
    assert slots("5-5/1 0 * * *", ms("2026-05-01T00:00"), 2, "UTC") == ["01 00:05+0000", "02 00:05+0000"]


def weekdays(field: str) -> set[str]:
    """The days of a week on which an expression runs."""
    series, moment, days = schedule(f"0 12 * * {field}", None, "UTC", 0), ms("2026-05-03T13:00"), set()
    while (moment := series.next_after(moment)) <= ms("2026-05-10T13:00"):
        days.add(datetime.fromtimestamp(moment / 1000, UTC).strftime("%a"))
    return days


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("fri-sun", "Fri Sat Sun"),
        ("FRI-SUN", "Fri Sat Sun"),
        ("5-sun", "Fri Sat Sun"),
        ("5-0", "Fri Sat Sun"),
        ("mon-sun", "Mon Tue Wed Thu Fri Sat Sun"),
        ("sat-sun", "Sat Sun"),
        ("tue-sun/2", "Tue Thu Sat"),
        ("wed,sat-sun", "Wed Sat Sun"),
        ("7-2", "Sun Mon Tue"),
        ("sun-tue", "Sun Mon Tue"),
        ("sun-sun", "Sun"),
    ],
)
def test_a_range_of_weekdays_can_begin_with_sunday_or_end_on_it(field: str, days: str) -> None:
    assert weekdays(field) == set(days.split())


@pytest.mark.parametrize(
    ("cron", "advice"),
    [
        ("0 0 * * fri-mon", "weekday 'fri-mon' ends before it begins; write fri-sat,sun-mon"),
        ("0 0 * * 5-1", "weekday '5-1' ends before it begins; write 5-6,0-1"),
        ("0 0 * * sat-mon", "weekday 'sat-mon' ends before it begins; write sat-sat,sun-mon"),
        ("0 0 1 nov-feb *", "month 'nov-feb' ends before it begins; write nov-dec,jan-feb"),
        ("0 0 1 11-2 *", "month '11-2' ends before it begins; write 11-12,1-2"),
        ("0 22-2 * * *", "hour '22-2' ends before it begins; write 22-23,0-2"),
        ("0 0 28-3 * *", "day '28-3' ends before it begins; write 28-31,1-3"),
    ],
)
def test_a_range_that_wraps_around_is_refused_with_how_to_write_it(cron: str, advice: str) -> None:
    with pytest.raises(InvalidScheduleError, match="ends before") as refused:
        schedule(cron, None, "UTC", 0)
    assert str(refused.value) == advice
    written = advice.rpartition(" ")[2]
    assert schedule(cron.replace(advice.split("'")[1], written), None, "UTC", 0).next_after(0) > 0


GAPS_AT_MIDNIGHT = [
    ("Africa/Cairo", "2027-04-30"),
    ("Asia/Beirut", "2027-03-28"),
    ("America/Asuncion", "2023-10-01"),
    ("America/Santiago", "2026-09-06"),
    ("America/Havana", "2026-03-08"),
    ("Atlantic/Azores", "2026-03-29"),
]


@pytest.mark.parametrize(("zone", "day"), GAPS_AT_MIDNIGHT)
def test_a_midnight_in_the_gap_has_no_slot_in_elapsed_time(zone: str, day: str) -> None:
    weekday = datetime.fromisoformat(day).strftime("%a")
    evening = ms(f"{day}T01:00", zone) - 60_000
    assert [text[3:8] for text in slots(f"0 */2 * * {weekday}", evening, 3, zone)] == ["02:00", "04:00", "06:00"]
    assert [text[3:8] for text in slots("*/20 * * * *", evening, 2, zone)] == ["01:00", "01:20"]
    assert slots("*/30 0 * * *", evening, 1, zone)[0][3:8] == "00:00"


@pytest.mark.parametrize(("zone", "day"), GAPS_AT_MIDNIGHT)
def test_a_fixed_midnight_in_the_gap_runs_once_right_after_it(zone: str, day: str) -> None:
    evening = ms(f"{day}T01:00", zone) - 60_000
    assert [text[:8] for text in slots("0,30 0 * * *", evening, 2, zone)] == [
        f"{day[-2:]} 01:00",
        f"{int(day[-2:]) % (30 if day[5:7] == '04' else 31) + 1:02} 00:00",
    ]


@pytest.mark.parametrize(
    "zone",
    [
        "localtime",
        "Localtime",
        "Factory",
        "FACTORY",
        "posixrules",
        "posix/Europe/Berlin",
        "right/UTC",
        "posix",
        "right",
        "",
        " ",
        "UTC\n",
        "Europe/Berlin\n",
        " Europe/Berlin",
        "Europe/Berlin ",
        "Europe\\Berlin",
        "Europe//Berlin",
        "/etc/localtime",
        "Europe/../Europe/Berlin",
        "zone.tab",
        "tzdata.zi",
        "leapseconds",
        "America",
        "CEST",
        "+02:00",
        "UTC+2",
        "GMT+25",
        "\u0415urope/Berlin",
        "Europe/Berlin\0",
        "x" * 64,
    ],
)
def test_what_is_no_place_is_no_time_zone(zone: str) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        schedule("0 0 * * *", None, zone, 0)
    assert refused.value.field == "timezone"
    assert str(refused.value) == f"there is no time zone {zone!r}"


@pytest.mark.parametrize(
    ("zone", "known"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
        ("AMERICA/NEW_YORK", "America/New_York"),
        ("Africa/cairo", "Africa/Cairo"),
        ("etc/gmt+5", "Etc/GMT+5"),
    ],
)
def test_other_capitals_are_refused_with_the_right_ones(zone: str, known: str) -> None:
    with pytest.raises(InvalidScheduleError, match=f"did you mean '{known.replace('+', '[+]')}'"):
        schedule("0 0 * * *", None, zone, 0)
