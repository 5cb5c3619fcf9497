"""The page /dashboard in a real browser: every widget shows what was done, and nothing comes from elsewhere.

With DASHBOARD_PICTURE set to a file's name it also leaves a picture there: `make dashboard-picture`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browser.load import Expected, expect_lines, list_differences, work
from leaseway_local.engine.paths import Home
from leaseway_local.monitoring.monitor import dashboard_url
from support.monitored_stack import MonitoredStack
from support.waiting import wait_until

DECLARED = json.loads((Path(__file__).parents[2] / "infra" / "dashboard.json").read_text())["widgets"]
BOUND = 180


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredStack]:
    # A message that comes back, as a cancelled job's does, is no dead letter yet.
    monitored = MonitoredStack(Home(tmp_path_factory.mktemp("watched")), LogFormat="json", MaxReceiveCount="5")
    yield monitored
    monitored.stop()


def read_legends(page: Page) -> dict[str, dict[str, dict[str, str]]]:
    """What each widget's legend says, by title and label."""
    legends: dict[str, Any] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("article")].map(card => [card.dataset.title,
            Object.fromEntries([...card.querySelectorAll("li")].map(entry => [entry.dataset.label, {...entry.dataset}]))
        ]))"""
    )
    return legends


def all_lines() -> set[tuple[str, str]]:
    """Title and label of every line that the dashboard declares."""
    widgets = [widget["properties"] for widget in DECLARED if "metrics" in widget["properties"]]
    return {(widget["title"], line[-1]["label"]) for widget in widgets for line in widget["metrics"]}


@pytest.mark.timeout(900)
def test_every_widget_shows_what_was_done(deployment: MonitoredStack, browser: Browser) -> None:
    # Given a dashboard that is open while a stack works
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    urls: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(dashboard_url(deployment.record))
    done = work(deployment)
    # Then something is known from elsewhere about every line of every widget, and the page comes to say so
    assert {(title, label) for title, lines in expect_lines(deployment, done).items() for label in lines} == all_lines()
    differences: list[str] = []

    def says_so() -> bool:
        expected: Expected = expect_lines(deployment, done)
        differences[:] = list_differences(expected, read_legends(page))
        return not differences

    try:
        wait_until(says_so, seconds=BOUND, what="what was done", every=2)
    except AssertionError as late:
        raise AssertionError("\n".join([str(late), *differences])) from None
    # And no widget is empty
    assert page.locator("article:has(.empty) h3").all_inner_texts() == []
    # And nothing was asked of any other place, nor did the page break a rule of its own
    assert {url.partition("/dashboard")[0] for url in urls} == {
        dashboard_url(deployment.record).partition("/dashboard")[0]
    }
    assert complaints == []
    if picture := os.environ.get("DASHBOARD_PICTURE"):
        page.screenshot(path=picture)
    page.close()
