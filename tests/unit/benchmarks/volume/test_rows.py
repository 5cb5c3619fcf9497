"""Every row of `make bench-volume`, at a fiftieth of its volume; and the table itself."""

import msgspec
import pytest

from benchmarks.volume.__main__ import print_table
from benchmarks.volume.row import FULL, TINY, Outcome, Row, find_rows

LATE = Row(
    number=1,
    what="a job",
    target="60 s",
    is_reached=lambda seconds: seconds <= 60,
    before=lambda scale: Outcome(720 * scale, "12 min"),
    now=lambda scale: Outcome(50 * scale, "50 s"),
)


@pytest.mark.parametrize("row", find_rows(), ids=lambda row: str(row.number))
def test_the_target_is_reached_now_and_was_missed_before(row: Row) -> None:
    assert row.is_reached(row.now(TINY).value)
    assert not row.is_reached(row.before(TINY).value)


@pytest.mark.parametrize("row", find_rows(), ids=lambda row: str(row.number))
def test_a_simulation_measures_the_same_each_time(row: Row) -> None:
    assert row.now(TINY) == row.now(TINY)


def test_the_table_shows_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    # When its row is simulated
    reached = print_table([LATE], FULL)

    # Then both sides are printed, and the target is reached
    assert reached
    assert "| 1. a job | 60 s | 12 min | 50 s | reached |" in capsys.readouterr().out


def test_a_target_that_is_missed_fails_the_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    # Given a row that is late on both sides, beside one that is not
    missed = msgspec.structs.replace(LATE, now=LATE.before)

    # When both are simulated
    reached = print_table([missed, LATE], FULL)

    # Then the other is printed too
    assert not reached
    assert capsys.readouterr().out.count("reached |") == 1
