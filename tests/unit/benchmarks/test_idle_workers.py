"""The page about workers outside Lambda says what waiting costs, as it is measured."""

from pathlib import Path

import pytest

from benchmarks.idle_workers import format_line, measure_all, measure_http

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "workers-anywhere.md"


def test_the_page_has_each_line_as_it_is_measured() -> None:
    text = PAGE.read_text()
    for name, idle in measure_all().items():
        assert format_line(name, idle) in text, name


@pytest.mark.parametrize(("wait", "pause", "receives"), [(10, 0, 2), (5, 0, 1), (1, 0, 1)])
def test_a_waiting_request_receives_once_in_five_seconds(wait: int, pause: int, receives: int) -> None:
    idle = measure_http(wait, pause)
    assert idle.receives == idle.api_calls * receives
    assert idle.concurrency == pytest.approx(1)
