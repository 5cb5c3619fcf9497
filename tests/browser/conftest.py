"""A browser of the machine's own, and the deployed stack that the integration tests use."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from support.stack_fixtures import engine, home, make_stack, stack, stacks  # noqa: F401 - fixtures

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window: CHROMIUM, or what the path has."""
    executable = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.fail("there is no Chromium: `apt-get install chromium`, or name one in CHROMIUM")
    # Its sandbox needs rights that containers rarely give; it opens no page but our own.
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()
