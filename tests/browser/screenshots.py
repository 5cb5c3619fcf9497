"""The README's pictures of the pages, taken from a stack at work: `make screenshots`.

A page more is one function in `PICTURES`: it gets a signed-in console and leaves on the screen what is to be shown.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from playwright.sync_api import expect, sync_playwright

from browser.console import ConsolePage, open_console
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import ROOT, Home
from support.deployed_stacks import DeployedStack, deploy, start_engine

FOLDER = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 860}
LOAD_SECONDS = 50
FAILING = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
LOAD = [
    *[{"type": "GENERATE_NUMBER", "payload": {}}] * 6,
    *[{"type": "GENERATE_LOGIN", "payload": {}}] * 3,
    *[{"type": "SLEEP", "payload": {"duration_ms": 4_000}}] * 2,
]


def overview(one: ConsolePage) -> None:
    """The console's overview while jobs come in."""
    one.go("/", "Overview")
    ends = monotonic() + LOAD_SECONDS
    rounds = 0
    while monotonic() < ends:
        one.stack.api.post("/api/v1/jobs/batch", {"jobs": LOAD * (1 + rounds % 4) + [FAILING] * (rounds % 5 == 0)})
        rounds += 1
        one.page.wait_for_timeout(1_500)
    expect(one.page.locator(".plot canvas")).to_have_count(2)


PICTURES: dict[str, Callable[[ConsolePage], None]] = {"console.png": overview}


def seed(stack: DeployedStack) -> None:
    """Tasks that have run, so that no part of the pages is empty."""
    for name, schedule in (("nightly-report", {"cron": "30 4 * * 1-5"}), ("warm-up", {"every": "5m"})):
        task = {"name": name, **schedule, "type": "SLEEP", "payload": {"duration_ms": 300}}
        stack.api.post(f"/api/tasks/{stack.api.post('/api/tasks', task)['id']}/run")


def main() -> None:
    """Deploy a stack to an engine of its own, and take every picture."""
    folder = Path(tempfile.mkdtemp(prefix="leaseway-screenshots-"))
    home = Home(folder)
    try:
        stack = deploy(start_engine(home), home, "leaseway-pictures")
        seed(stack)
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
            one = open_console(browser, stack, viewport=SIZE, color_scheme="light")
            one.sign_in(stack.admin.username, stack.admin.password)
            for name, show in PICTURES.items():
                show(one)
                one.page.screenshot(path=FOLDER / name)
                print(f"wrote {(FOLDER / name).relative_to(ROOT)}")
            browser.close()
    finally:
        Engine(home).stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
