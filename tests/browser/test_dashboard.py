"""The page /dashboard in a real browser: every widget shows what was done, and nothing comes from elsewhere.

With DASHBOARD_PICTURE set to a file's name it also leaves a picture there: `make dashboard-picture`.
"""

import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from leaseway_local.places import Home
from observe import log_lines, metric_lines, until
from watched import Watched

SLEEP = {"type": "SLEEP", "payload": {"duration_ms": 20}}
BOUND = 90


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(Home(tmp_path_factory.mktemp("watched")), LogFormat="json")
    yield made
    made.stop()


Shown = dict[str, dict[str, dict[str, str]]]


def shown(page: Page) -> Shown:
    """What each widget's legend says, by title and label."""
    found: Shown = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("article")].map(card => [card.dataset.title,
            Object.fromEntries([...card.querySelectorAll("li")].map(entry => [entry.dataset.label, {...entry.dataset}]))
        ]))"""
    )
    return found


def values(page: Page, title: str) -> dict[str, float]:
    return {label: float(entry["value"] or 0) for label, entry in shown(page).get(title, {}).items()}


def finished(watched: Watched, job: str) -> str:
    path = f"/api/v1/jobs/{job}"
    ended = ("COMPLETED", "FAILED", "CANCELLED")
    until(lambda: watched.stack.api.get(path)["status"] in ended, seconds=BOUND, what=f"the end of {job}")
    return str(watched.stack.api.get(path)["status"])


def active_jobs(watched: Watched) -> int:
    """RUNNING jobs as the sweeps found them, added up, from their own words."""
    told = [line["ActiveJobs"] for line in metric_lines(watched.stack.client, "leaseway-sweeper")]
    assert 1 in [jobs for found in told for jobs in found], told
    return int(sum(jobs for found in told for jobs in found))


def load(watched: Watched) -> dict[str, Any]:
    """Work of every kind; returns what the widgets must say of it."""
    api = watched.stack.api
    user = f"u{secrets.token_hex(4)}"
    api.post("/api/users", {"userId": user, "balance": 10})
    for amount in (5, -3, -500):
        api.request("POST", "/api/users/update-balance", json={"userId": user, "amount": amount})
    jobs = [api.post("/api/v1/jobs", SLEEP)["id"] for _ in range(4)]
    jobs += [api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"] for _ in range(2)]
    failing = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
    jobs.append(api.post("/api/v1/jobs", failing)["id"])
    late = api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 60_000}, "ttl_ms": 1_500})["id"]
    assert [finished(watched, job) for job in [*jobs, late]] == [*["COMPLETED"] * 6, "FAILED", "CANCELLED"]
    # One that runs while a sweep looks
    running = api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 60_000}})["id"]
    path = f"/api/v1/jobs/{running}"
    until(lambda: api.get(path)["status"] == "RUNNING", seconds=BOUND, what="the running job")
    swept = watched.stack.invoke("SweeperFunction")
    ticked = watched.stack.invoke("SchedulerFunction")
    watched.stack.invoke("LedgerCheckFunction")
    api.post(f"{path}/cancel", None)
    # And some that wait for a worker
    with watched.without_mappings("WorkerFunction"):
        waiting = [api.post("/api/v1/jobs", SLEEP | {"priority": "low"})["id"] for _ in range(3)]
        low = watched.stack.outputs["LowQueueUrl"].rpartition("/")[2]
        until(
            lambda: (
                watched.value("ApproximateNumberOfMessagesVisible", "Maximum", namespace="AWS/SQS", QueueName=low) == 3
            ),
            seconds=BOUND,
            what="three waiting messages",
        )
    for job in waiting:
        assert finished(watched, job) == "COMPLETED"
    return {
        "Throughput": {"created": 12, "completed": 9, "failed": 1, "cancelled": 2, "started": 12, "retried": 0},
        "Completed by type": {"SLEEP": 7, "GENERATE_NUMBER": 2},
        "Failed by type": {"HTTP_GET": 1},
        "Leases": {"lost": 1, "late results": 1},
        "Sweeps": {"found": swept["looked"], "sent again": swept["resent"], "cancelled": swept["cancelled"]},
        "Active jobs by worker": {"all": active_jobs(watched), "the busiest worker's": 1},
        "Scheduler": {"started": ticked["started"], "skipped": ticked["skipped"], "missed": ticked["missed"]},
        "Updates": {"granted": 2, "refused": 1},
        "Ledger": {"entries": 4},
        "Ledger check": {"differences": 0},
        "Errors of the service": {"500 and above": 0},
        "Invocations": {"sweeper": 1, "scheduler": 1, "ledger-check": 1},
        "Throttles": {"api": 0, "worker": 0},
    }


def test_every_widget_shows_what_was_done(watched: Watched, browser: Browser) -> None:
    # Given a stack that has worked
    expected = load(watched)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    # When its dashboard is open, then each widget comes to say so
    page.goto(watched.record.url)
    for title, wanted in expected.items():
        until(
            lambda title=title, wanted=wanted: wanted.items() <= values(page, title).items(),
            seconds=BOUND,
            what=f"{title} to show {wanted}, not {values(page, title)}",
            every=0.5,
        )
    # And of requests as many as the API has logged
    logged = [line for line in log_lines(watched.stack.client, "leaseway-api") if line.get("action") == "request"]
    until(
        lambda: values(page, "Requests") == {"requests": len(logged)},
        seconds=BOUND,
        what=f"{len(logged)} requests",
        every=0.5,
    )
    assert float(shown(page)["Waiting messages"]["low"]["most"]) == 3
    # And no widget is empty but those of what did not happen
    empty = page.locator("article:has(.empty) h3").all_inner_texts()
    assert empty == []
    # And nothing was asked of any other place, nor did the page break a rule of its own
    assert {url.partition("/dashboard")[0] for url in asked} == {watched.record.url.partition("/dashboard")[0]}
    assert complaints == []
    if picture := os.environ.get("DASHBOARD_PICTURE"):
        page.screenshot(path=picture)
    page.close()
