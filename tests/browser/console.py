"""The console as a person uses it: opened, signed in to, and listened to for what it must never do."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Response, expect

from support.deployed_stacks import DeployedStack

SECONDS = 1000
"""Playwright counts milliseconds."""

# Everything here runs in other processes of the same machine, and a worker may start cold.
PATIENCE = 60 * SECONDS
expect.set_options(timeout=PATIENCE)


@dataclass
class ConsolePage:
    """A page of the console, with every request that it sent and everything that it complained of."""

    page: Page
    stack: DeployedStack
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, name: str, password: str) -> None:
        """Fill in the form and wait for what lies behind it."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("navigation", name="Views")).to_be_visible()

    def go(self, path: str, heading: str) -> None:
        """Go to a view by its address, and wait until it has read what it shows."""
        self.page.evaluate("path => { location.hash = path; }", f"#{path}")
        expect(self.page.get_by_role("heading", level=1, name=heading, exact=True)).to_be_visible()
        expect(self.page.locator(".view")).not_to_have_attribute("aria-busy", "true")

    def find_requests(self, method: str, end: str) -> list[Request]:
        """The requests of that method whose path ends so."""
        return [
            request for request in self.requests if request.method == method and request.url.split("?")[0].endswith(end)
        ]

    def status(self, text: str) -> Locator:
        """The badge of the job that is shown, once it says so."""
        badge = self.page.locator("main .badge").first
        expect(badge).to_have_text(text)
        return badge

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds wrong with the page as it is shown now."""
        # The page's own policy lets no text become code, so axe-core is run from outside it.
        report: dict[str, Any] = self.page.evaluate(f"() => {{ {axe}; return axe.run(document); }}")
        return [f"{one['id']}: {node['html'][:150]}" for one in report["violations"] for node in one["nodes"]]


def open_console(browser: Browser, stack: DeployedStack, path: str = "/", **options: Any) -> ConsolePage:
    """The console in a browser that has never seen it."""
    context: BrowserContext = browser.new_context(**options)
    page = context.new_page()
    view = ConsolePage(page, stack)
    page.on("request", lambda request: view.requests.append(request))  # noqa: PLW0108 - it wants a function
    page.on("response", lambda answer: view.answers.append(answer))  # noqa: PLW0108
    page.on("console", lambda message: view.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: view.complaints.append(str(error)))
    page.goto(f"{stack.outputs.api_url}/console#{path}", timeout=PATIENCE)
    return view
