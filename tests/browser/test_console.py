"""The console in a real browser, at the deployed API: everything that a person does with it."""

import io
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from browser.console import PATIENCE, ConsolePage, open_console
from leaseway_local.connection.api_client import ApiClient
from support.dead_letters import make_dead_letters
from support.deployed_stacks import PASSWORD, DeployedStack
from support.waiting import wait_until

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
LIMIT_BYTES = 300 * 1024
HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
# A job that fails at once, wherever it runs: nothing may be fetched from this address.
FAILING = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}

Open = Callable[..., ConsolePage]


@pytest.fixture
def console(stack: DeployedStack, browser: Browser) -> Iterator[Open]:
    """Opens the console, signed in as the Admin unless a user is named; what a page did wrong fails its test."""
    pages: list[ConsolePage] = []

    def open_one(path: str = "/", *, name: str | None = None, signed_in: bool = True, **options: Any) -> ConsolePage:
        one = open_console(browser, stack, path, **options)
        pages.append(one)
        if signed_in:
            one.sign_in(name or stack.admin.username, PASSWORD if name else stack.admin.password)
        return one

    yield open_one
    for one in pages:
        one.page.context.close()


def fresh(name: str) -> str:
    return f"{name}-{secrets.token_hex(4)}"


def picture() -> bytes:
    drawn = io.BytesIO()
    Image.linear_gradient("L").resize((400, 300)).save(drawn, "PNG")
    return drawn.getvalue()


def test_a_picture_is_uploaded_resized_and_seen(console: Open) -> None:
    # Given the form of IMAGE_RESIZE, drawn from its schema
    one = console("/new")
    page = one.page
    page.get_by_label("Type", exact=True).select_option("IMAGE_RESIZE")
    # When a picture is chosen, which goes to the bucket, and the job is created
    page.get_by_label("url (optional)", exact=True).fill("")
    page.get_by_label("Upload a picture").set_input_files(
        {"name": "p.png", "mimeType": "image/png", "buffer": picture()}
    )
    expect(page.get_by_label("key (optional)", exact=True)).to_have_value(re.compile("^owners/"))
    page.get_by_label("width").fill("200")
    page.get_by_label("height").fill("100")
    page.get_by_role("button", name="Create the job").click()
    # Then its page shows it finish, and the picture
    one.status("COMPLETED")
    preview = page.get_by_alt_text("What IMAGE_RESIZE made")
    expect(preview).to_be_visible()
    page.wait_for_function("() => document.querySelector('img.preview').naturalWidth === 200", timeout=PATIENCE)
    # And it was created under a key, so that a lost answer makes no second one
    (created,) = one.find_requests("POST", "/api/v1/jobs")
    assert created.headers["idempotency-key"]


def test_a_failed_job_is_tried_again_and_a_running_one_cancelled(console: Open, stack: DeployedStack) -> None:
    # Given a job that failed
    failed = stack.api.post("/api/v1/jobs", FAILING)["id"]
    one = console(f"/jobs/{failed}")
    one.status("FAILED")
    # When it is tried again
    one.page.get_by_role("button", name="Try again").click()
    # Then it has a second attempt, and the request named the version that was meant
    expect(one.page.get_by_text("2 of 2")).to_be_visible()
    (retried,) = one.find_requests("POST", f"/{failed}/retry")
    assert re.fullmatch(r'"\d+"', retried.headers["if-match"])
    # Given another that runs for a minute, made by the form
    one.go("/new?type=SLEEP", "Create a job")
    one.page.get_by_label("duration ms").fill("60000")
    one.page.get_by_role("button", name="Create the job").click()
    one.status("RUNNING")
    # When it is cancelled, and the question answered
    one.page.get_by_role("button", name="Cancel").click()
    one.page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    # Then it ends
    one.status("CANCELLED")
    (cancelled,) = one.find_requests("POST", "/cancel")
    assert cancelled.headers["if-match"]
    assert one.complaints == []


def test_a_task_is_run_paused_and_its_runs_are_seen(console: Open, stack: DeployedStack) -> None:
    # Given a task
    name = fresh("warm-up")
    task = {"name": name, "every": "1h", "type": "SLEEP", "payload": {"duration_ms": 10}}
    stack.api.post("/api/tasks", task)
    one = console("/tasks")
    row = one.page.get_by_role("row").filter(has_text=name)
    # When it is run
    row.get_by_role("button", name=f"Run {name} now").click()
    # Then the strip of its runs shows the run, by hand, to its end
    expect(row.get_by_role("link", name=re.compile("COMPLETED"))).to_be_visible()
    row.get_by_role("link", name=name, exact=True).click()
    expect(one.page.get_by_role("table", name="History").get_by_text("by hand")).to_be_visible()
    # And it can be paused
    one.page.get_by_role("button", name=f"Pause {name}").click()
    one.status("PAUSED")


def test_a_balance_is_updated_and_its_ledger_shows_the_entry(console: Open, stack: DeployedStack) -> None:
    # Given an account
    user = fresh("console")
    stack.api.post("/api/users", {"userId": user, "balance": 100})
    one = console("/balances")
    one.page.get_by_label("User id").fill(user)
    one.page.get_by_role("button", name="Look up").click()
    expect(one.page.locator("[data-balance]")).to_have_text("€100.00")
    # When it is changed, and changed by more than there is
    change(one, "-30.25", "an order")
    expect(one.page.locator("[data-balance]")).to_have_text("€69.75")
    change(one, "-500", "too much")
    # Then the refusal is shown, and the ledger shows the one that was granted
    expect(one.page.locator("form").get_by_role("alert").filter(has_text="69.75")).to_be_visible()
    entry = one.page.get_by_role("table", name="Ledger").get_by_role("row").filter(has_text="an order")
    expect(entry).to_contain_text("-€30.25")
    keys = {request.headers["idempotency-key"] for request in one.find_requests("POST", "/update-balance")}
    assert len(keys) == 2
    assert stack.api.get(f"/api/users/{user}/balance")["balance"] == 69.75


def change(one: ConsolePage, amount: str, reference: str) -> None:
    one.page.get_by_label("Amount").fill(amount)
    one.page.get_by_label("Reference").fill(reference)
    one.page.get_by_role("button", name="Update the balance").click()


def test_many_failed_jobs_are_tried_again_at_once_after_a_question(console: Open, stack: DeployedStack) -> None:
    # Given a User with three jobs that failed
    name = fresh("bulk")
    user = stack.as_user(name)
    jobs = [user.post("/api/v1/jobs", FAILING)["id"] for _ in range(3)]
    wait_until(
        lambda: user.get("/api/v1/jobs", status="FAILED")["totalElements"] == 3, seconds=60, what="three failures"
    )
    one = console("/jobs?status=FAILED", name=name)
    boxes = one.page.get_by_role("checkbox", name=re.compile("Choose HTTP_GET"))
    expect(boxes).to_have_count(3)
    # When he chooses them, asks for another try, and answers the question
    for box in boxes.all():
        box.check()
    one.page.get_by_role("group", name="Chosen jobs").get_by_role("button", name="Try again").click()
    one.page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    # Then all three have another attempt
    expect(one.page.get_by_role("status").get_by_text("3 of 3 tried again.")).to_be_visible()
    wait_for_attempt(user, jobs, 2)
    # And so have all that the filter finds, chosen or not, once the question that counts them is answered
    one.page.get_by_role("button", name="Try all again").click()
    dialog = one.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Try all again: 3 jobs?")
    dialog.get_by_role("button", name="Try all again").click()
    expect(one.page.get_by_role("status").get_by_text("3 jobs tried again.")).to_be_visible()
    wait_for_attempt(user, jobs, 3)


def test_a_dead_letter_is_listed_and_replayed(console: Open, stack: DeployedStack) -> None:
    # Given a job that no worker could settle
    (job,) = make_dead_letters(stack, 1)
    one = console("/dead-letters")
    row = one.page.get_by_role("table", name="Dead letters").get_by_role("row").filter(has_text=job[:8])
    expect(row).to_be_visible()
    # When it is replayed, and the question answered
    row.get_by_role("button", name="Replay").click()
    one.page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    # Then it leaves the list, and runs
    expect(row).to_have_count(0)
    one.page.evaluate("path => { location.hash = path; }", f"#/jobs/{job}")
    one.status("COMPLETED")


def wait_for_attempt(user: ApiClient, jobs: list[str], number: int) -> None:
    """Wait until each job has failed that often."""

    def all_failed() -> bool:
        read_jobs = [user.get(f"/api/v1/jobs/{job}") for job in jobs]
        return all((job["attempts"], job["status"]) == (number, "FAILED") for job in read_jobs)

    wait_until(all_failed, seconds=60, what=f"attempt {number}", every=0.5)


def test_the_overview_counts_what_there_is(console: Open, stack: DeployedStack) -> None:
    # Given a User's own jobs
    name = fresh("counted")
    user = stack.as_user(name)
    for _ in range(4):
        user.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})
    # When he opens the overview, then it comes to show them by itself, in numbers and in the charts' names
    one = console("/", name=name)
    expect(one.page.locator('[data-count="COMPLETED"]')).to_have_text("4")
    expect(one.page.get_by_role("img", name=re.compile("Jobs waiting and running: RUNNING 0"))).to_be_visible()
    expect(one.page.locator(".plot canvas")).to_have_count(2)
    # And what is for Admins only is not offered
    expect(one.page.get_by_role("link", name="Dead letters")).to_have_count(0)


def test_it_is_light_calls_no_other_host_and_leaks_no_name(console: Open, stack: DeployedStack) -> None:
    # Given a browser that has never seen the console
    one = console(signed_in=False)
    # When it is loaded, signed in to, and looked through
    expect(one.page.get_by_label("Name")).to_be_visible()
    one.page.wait_for_load_state("networkidle")
    page = one.answers[0]
    weight = sum(len(answer.body()) for answer in one.answers)
    one.sign_in(stack.admin.username, stack.admin.password)
    for path, heading in VIEWS:
        one.go(path, heading)
    # Then it weighed less than 300 KiB as it is, its policy was kept, and only the API was asked
    assert weight < LIMIT_BYTES
    assert one.complaints == []
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self';"
    )
    assert {request.url.partition("/_aws/")[0] for request in one.requests} == {stack.outputs.endpoint_url}
    # And the token was in headers only
    token = one.page.evaluate("() => JSON.parse(Object.values(sessionStorage)[0]).token")
    assert any(request.headers.get("authorization") == f"Bearer {token}" for request in one.requests)
    assert not any(token in request.url or PASSWORD in request.url for request in one.requests)
    assert token not in one.page.evaluate("() => JSON.stringify({...localStorage}) + location.href + document.cookie")


VIEWS = [
    ("/jobs", "Jobs"),
    ("/new", "Create a job"),
    ("/tasks", "Tasks"),
    ("/balances/1", "Balances"),
    ("/dead-letters", "Dead letters"),
    ("/", "Overview"),
]


def test_markup_in_data_stays_text(console: Open, stack: DeployedStack) -> None:
    # Given a task's name and a reference that are markup, if rendered as such
    name = f"{HOSTILE} {fresh('t')}"
    task = stack.api.post("/api/tasks", {"name": name, "every": "1h", "type": "SLEEP", "payload": {"duration_ms": 1}})
    user = fresh("markup")
    stack.api.post("/api/users", {"userId": user})
    stack.api.post("/api/users/update-balance", {"userId": user, "amount": 1, "reference": HOSTILE})
    one = console(f"/tasks/{task['id']}")
    # When they are shown
    expect(one.page.get_by_role("heading", level=1)).to_have_text(name)
    one.go(f"/balances/{user}", "Balances")
    expect(one.page.get_by_role("table", name="Ledger")).to_contain_text(HOSTILE)
    # Then they are text, and nothing of them ran
    assert one.page.locator("main img").count() == 0
    assert one.page.title() != "broken"
    assert one.complaints == []


def test_an_ended_session_leads_to_the_login_and_back(console: Open, stack: DeployedStack) -> None:
    # Given a user whose token is revoked while he looks at the jobs
    name = fresh("leaver")
    user = stack.as_user(name)
    one = console("/jobs?status=FAILED", name=name)
    expect(one.page.get_by_role("heading", name="Jobs")).to_be_visible()
    one.page.evaluate(
        "() => { const key = Object.keys(sessionStorage)[0]; const held = JSON.parse(sessionStorage[key]);"
        " sessionStorage[key] = JSON.stringify({...held, token: held.token.slice(0, -4) + 'AAAA'}); }"
    )
    # When the page is reloaded
    one.page.reload()
    # Then he is asked to sign in, and is back where he was
    expect(one.page.get_by_role("heading", name="Sign in to Leaseway")).to_be_visible()
    one.sign_in(name, PASSWORD)
    expect(one.page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(one.page.get_by_label("Status")).to_have_value("FAILED")
    assert user.get("/api/v1/me")["username"] == name


def test_it_is_used_with_the_keyboard_alone(console: Open, stack: DeployedStack) -> None:
    # Given the login, where the first field has the focus
    one = console(signed_in=False)
    keys = one.page.keyboard
    expect(one.page.get_by_label("Name")).to_be_focused()
    # When name and password are typed
    keys.type(stack.admin.username)
    keys.press("Tab")
    keys.type(stack.admin.password)
    keys.press("Enter")
    expect(one.page.get_by_role("heading", name="Overview")).to_be_visible()
    # And the first Tab offers to skip the navigation
    keys.press("Tab")
    expect(one.page.get_by_role("link", name="Skip to content")).to_be_focused()
    # And a job is made: the view's heading has the focus, the form follows
    one.go("/new?type=SLEEP", "Create a job")
    expect(one.page.get_by_role("heading", level=1)).to_be_focused()
    reach(one, "duration ms")
    keys.press("Control+a")
    keys.type("60000")
    keys.press("Enter")
    one.status("RUNNING")
    # And cancelled: Escape in the question keeps it, Enter on the answer does not
    cancel = one.page.get_by_role("button", name="Cancel")
    cancel.focus()
    keys.press("Enter")
    keys.press("Escape")
    expect(one.page.get_by_role("dialog")).to_have_count(0)
    expect(cancel).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    expect(one.page.get_by_role("button", name="Cancel the job")).to_be_focused()
    keys.press("Enter")
    one.status("CANCELLED")


def test_a_change_of_the_job_takes_no_focus_away(console: Open, stack: DeployedStack) -> None:
    # Given a job that waits for its time, its Cancel under the focus
    body = {"type": "SLEEP", "payload": {"duration_ms": 60_000}, "delay_seconds": 4}
    job = stack.api.post("/api/v1/jobs", body)["id"]
    one = console(f"/jobs/{job}")
    one.status("CREATED")
    cancel = one.page.get_by_role("button", name="Cancel")
    cancel.focus()
    # When it starts
    one.status("RUNNING")
    # Then the focus is where it was, and one key after the other asks, takes back and asks again
    expect(cancel).to_be_focused()
    for key in ("Enter", "Escape", "Enter"):
        one.page.keyboard.press(key)
    # And the answer means the job as it is now
    one.page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    one.status("CANCELLED")


def reach(one: ConsolePage, label: str) -> None:
    """Press Tab until the control of that label has the focus."""
    for _ in range(40):
        one.page.keyboard.press("Tab")
        name = one.page.evaluate("() => document.activeElement.labels?.[0]?.textContent")
        if name == label:
            return
    pytest.fail(f"Tab does not lead to {label}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing_in_any_view(console: Open, stack: DeployedStack, scheme: str) -> None:
    # Given things to show, in a theme
    job = stack.api.post("/api/v1/jobs", FAILING)["id"]
    task = {"name": fresh("axe"), "every": "1h", "type": "SLEEP", "payload": {"duration_ms": 10}}
    task_id = stack.api.post("/api/tasks", task)["id"]
    stack.api.post(f"/api/tasks/{task_id}/run")
    one = console(signed_in=False, color_scheme=scheme)
    violations = {"login": one.violations(AXE)}
    one.sign_in(stack.admin.username, stack.admin.password)
    # When each view is judged, and a question, and the form of a task
    for path, heading in [*VIEWS, (f"/jobs/{job}", "HTTP_GET"), (f"/tasks/{task_id}", task["name"])]:
        one.go(path, heading)
        violations[path] = one.violations(AXE)
    one.page.get_by_role("button", name="Delete").click()
    violations["question"] = one.violations(AXE)
    one.page.keyboard.press("Escape")
    one.go("/tasks", "Tasks")
    one.page.get_by_role("button", name="Define a task").click()
    expect(one.page.get_by_role("dialog")).to_be_visible()
    violations["definition"] = one.violations(AXE)
    # Then names, roles and contrast are as they should be
    assert {place: wrong for place, wrong in violations.items() if wrong} == {}


def test_narrow_screens_scroll_in_one_direction_only(console: Open, stack: DeployedStack) -> None:
    # Given a telephone
    stack.api.post("/api/v1/jobs", FAILING)
    one = console(viewport={"width": 360, "height": 740})
    for path, heading in VIEWS:
        # When each view is shown
        one.go(path, heading)
        # Then nothing is wider than the screen
        width = one.page.evaluate("() => document.scrollingElement.scrollWidth")
        assert width <= 360, f"{path} is {width} wide"
    # And a row of a table is a card, whose cells say what they are
    one.go("/jobs", "Jobs")
    cell = one.page.locator("td[data-label=Status]").first
    expect(cell).to_be_visible()
    assert cell.evaluate("cell => getComputedStyle(cell).display") == "flex"


def test_the_theme_is_the_systems_until_one_is_chosen_and_then_kept(console: Open) -> None:
    # Given a system that is dark
    one = console(color_scheme="dark")
    assert background(one) == "rgb(15, 18, 23)"
    # When the light theme is chosen, and the page reloaded
    one.page.get_by_role("button", name="Light theme").click()
    one.page.reload()
    # Then it stays light
    expect(one.page.get_by_role("button", name="Dark theme")).to_be_visible()
    assert background(one) == "rgb(245, 246, 248)"


def background(one: ConsolePage) -> str:
    return str(one.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
