"""The console on answers that a deployment rarely gives: null for all that may be null, and what is no answer at all.

The answers are made here; no deployment is needed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from api import console_page
from support.documented_answers import sample_answer

ORIGIN = "http://localhost:1"  # a secure context, at which nothing answers but the routes below
ID = "0" * 32
STATUSES = ("CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
VIEWS = (
    "/",
    "/jobs",
    "/jobs?tag=x",
    "/jobs?status=FAILED",
    f"/jobs/{ID}",
    "/new",
    f"/new?from={ID}",
    "/tasks",
    f"/tasks/{ID}",
    "/balances/alice",
    "/dead-letters",
)
BROKEN = ("", "<html>", "null", "[]", "{}", '{"content": 1}', '"x"', '{"content": [', '{"content": [null]}')
NOT_FOR_PEOPLE = re.compile(r"\b(?:null|undefined|NaN|Invalid Date|\[object Object\])\b")

Answers = Callable[[str, str], Any]


class Console(NamedTuple):
    """The console with the errors that its code raised."""

    page: Page
    errors: list[str]

    def go(self, view: str) -> str:
        """Open a view, wait until it has read its answers, and return its text."""
        self.page.evaluate("path => { location.hash = path; }", f"#{view}")
        expect(self.page.locator(".view")).not_to_have_attribute("aria-busy", "true")
        return self.page.locator("main").inner_text()


def answer_with_nulls(method: str, path: str) -> Any:
    if path == "/connect/token":
        return {"access_token": "token", "token_type": "bearer", "expires_in": 3600}
    if path == "/api/v1/me":
        return sample_answer(method, path) | {"role": "Admin"}
    if path == "/api/v1/overview":
        counts = dict.fromkeys(STATUSES, 0)
        return sample_answer(method, path) | {"jobs": counts, "types": [{"type": "SLEEP", "jobs": counts}]}
    if path == "/api/v1/job-types":
        payload = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        kind = {"name": "SLEEP", "summary": "Sleep", "payload": payload, "ttl_ms": 1, "max_attempts": 3}
        return {"content": [kind], "job": {"$defs": {"NewJob": {"type": "object", "properties": {}}}}}
    return sample_answer(method, path)


def open_console(browser: Browser, answers: Answers) -> Console:
    """Open the console at a stubbed API and sign in."""
    page = browser.new_context().new_page()
    console = Console(page, [])
    page.on("pageerror", lambda error: console.errors.append(str(error)))

    def serve(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/console":
            text = (console_page._HERE / "index.html").read_text().replace("{version}", "v")
            route.fulfill(body=text, content_type="text/html")
        elif path.startswith("/console/v/"):
            name = path.rpartition("/")[2]
            kind = console_page._MEDIA_TYPES[name.rpartition(".")[2]]
            route.fulfill(body=console_page._parts()[name], content_type=kind)
        else:
            answer = answers(route.request.method, path)
            if isinstance(answer, str):
                route.fulfill(body=answer, content_type="application/json")
            else:
                route.fulfill(json=answer)

    page.route("**/*", serve)
    page.goto(f"{ORIGIN}/console")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    return console


@pytest.fixture(scope="module")
def console(browser: Browser) -> Iterator[Console]:
    opened = open_console(browser, answer_with_nulls)
    yield opened
    opened.page.context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_null_is_shown_as_nothing(console: Console, view: str) -> None:
    text = console.go(view)
    assert not console.errors
    console.errors.clear()
    assert text
    assert not NOT_FOR_PEOPLE.search(text), text


def test_a_list_that_is_not_counted_says_how_many_are_on_the_page(console: Console) -> None:
    assert "1 on this page" in console.go("/jobs?tag=x")


def test_a_pattern_of_a_type_that_is_gone_leaves_the_form_usable(console: Console) -> None:
    console.go(f"/new?from={ID}")
    expect(console.page.get_by_label("Type", exact=True)).to_have_value("SLEEP")
    assert not console.errors


def test_replaying_needs_no_count(console: Console) -> None:
    console.go("/dead-letters")
    console.page.get_by_role("button", name="Replay all").click()
    dialog = console.page.get_by_role("dialog")
    assert not NOT_FOR_PEOPLE.search(dialog.inner_text())
    dialog.get_by_role("button", name="Keep as it is").click()
    assert not console.errors


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_cannot_be_read_is_said_to_be_one(browser: Browser, body: str) -> None:
    broken = [False]

    def answers(method: str, path: str) -> Any:
        return body if broken[0] and path.startswith("/api") else answer_with_nulls(method, path)

    console = open_console(browser, answers)
    console.go("/jobs")
    broken[0] = True
    for view in VIEWS:
        console.page.evaluate("path => { location.hash = path; }", f"#{view}")
        expect(console.page.get_by_text("The API's answer cannot be read.").first).to_be_visible()
    assert not console.errors
    console.page.context.close()


def test_a_cursor_that_repeats_ends_a_change_of_many(browser: Browser) -> None:
    calls = [0]

    def answers(method: str, path: str) -> Any:
        if path == "/api/v1/jobs/cancel":
            calls[0] += 1
            return sample_answer(method, path) | {"matched": 1, "cursor": "again"}
        return answer_with_nulls(method, path)

    console = open_console(browser, answers)
    console.go("/jobs?type=SLEEP&status=RUNNING")
    console.page.get_by_role("button", name="Cancel all").click()
    expect(console.page.get_by_text("The API's answer cannot be read.").first).to_be_visible()
    assert calls[0] == 2
    assert not console.errors
    console.page.context.close()
