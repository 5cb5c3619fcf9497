"""Swagger UI in a real browser, from the deployed API alone."""

import json
import secrets

from playwright.sync_api import Browser, expect

from support.deployed_stacks import PASSWORD, DeployedStack
from support.waiting import wait_until

TRY = "#operations-Jobs-submit_job"


def test_authorize_signs_in_and_a_job_is_made_from_the_page(stack: DeployedStack, browser: Browser) -> None:
    # Given a User, and the page of the API
    name = f"browser-{secrets.token_hex(4)}"
    user = stack.as_user(name)
    page = browser.new_page()
    urls: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{stack.outputs.api_url}/docs")
    # When he signs in with Authorize
    page.locator("button.authorize").first.click()
    dialog = page.locator(".auth-container")
    dialog.locator("#oauth_username").fill(name)
    dialog.locator("#oauth_password").fill(PASSWORD)
    dialog.locator("button.authorize").click()
    expect(dialog.get_by_role("heading", name="Authorized")).to_be_visible()
    page.locator(".close-modal").first.click()
    # And makes a job by filling in the form of the operation
    page.locator(f"{TRY} button.opblock-summary-control").click()
    body = json.dumps({"type": "SLEEP", "payload": {"duration_ms": 10}})
    page.locator(f"{TRY} textarea.body-param__text").fill(body)
    with page.expect_response(lambda response: response.url.endswith("/api/v1/jobs")) as answered:
        page.locator(f"{TRY} button.execute").click()
    # Then the job is his, and runs
    assert answered.value.status == 202
    job = answered.value.json()
    assert job["owner"] == name
    path = f"/api/v1/jobs/{job['id']}"
    wait_until(lambda: user.get(path)["status"] == "COMPLETED", seconds=60, what="the job's end")
    # And nothing was asked of any other place, nor did the page break a rule of its own
    assert {url.partition("/_aws/")[0] for url in urls if not url.startswith("data:")} == {stack.outputs.endpoint_url}
    assert complaints == []
    page.close()


def test_without_authorize_the_page_hears_401(stack: DeployedStack, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{stack.outputs.api_url}/docs")
    page.locator("#operations-Identity-show_me button.opblock-summary-control").click()
    with page.expect_response(lambda response: response.url.endswith("/api/v1/me")) as answered:
        page.locator("#operations-Identity-show_me button.execute").click()
    assert (answered.value.status, answered.value.json()["code"]) == (401, "UNAUTHORIZED")
    page.close()
