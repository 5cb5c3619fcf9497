"""The console's page and its parts, as the function serves them."""

import re

import pytest

from api.console_page import version
from support.api_gateway import ApiResponse, call

pytestmark = pytest.mark.usefixtures("cloud")

LIMIT_BYTES = 300 * 1024
PART = "/console/{version}/{asset}"


def part(name: str, of_version: str | None = None) -> ApiResponse:
    return call("GET", PART, path={"version": of_version or version(), "asset": name}, caller=None)


def load_parts() -> dict[str, str]:
    """The page, and every part that a browser loads for it, with its text."""
    page = call("GET", "/console", caller=None).text
    names = [name.rpartition("/")[2] for name in re.findall(r'(?:src|href)="(console/[^"]+)"', page)]
    return {"": page} | {name: part(name).text for name in names}


def test_the_page_names_parts_that_are_there_and_weighs_less_than_300_kib() -> None:
    # Given the page, when all that it loads is fetched
    parts = load_parts()
    # Then nothing is missing, and together they are within the budget, uncompressed
    assert parts.keys() == {"", "console.js", "theme.js", "console.css", "uPlot.iife.js", "icon.svg"}
    assert all("ASSET_NOT_FOUND" not in text for text in parts.values())
    assert sum(len(text.encode()) for text in parts.values()) < LIMIT_BYTES


def test_its_policy_lets_nothing_run_that_is_not_its_own() -> None:
    # When the page is fetched
    policy = call("GET", "/console", caller=None).headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    # Then scripts and styles are its own files only, and pictures and uploads know no other place but the bucket
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    bucket = "https://s3.amazonaws.com/leaseway-bucket"
    assert rules["connect-src"] == f"'self' {bucket} {bucket}/"
    assert rules["img-src"] == f"'self' data: blob: {bucket}/"
    assert (rules["frame-ancestors"], rules["base-uri"], rules["form-action"]) == ("'none'", "'none'", "'none'")
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy


def test_parts_call_no_other_host_and_write_no_markup() -> None:
    # Given the console's own modules
    own = {name: text for name, text in load_parts().items() if not name.startswith("uPlot") and name != "icon.svg"}
    for text in own.values():
        # Then none names another place, and none makes markup of text
        assert "://" not in text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


def test_a_part_is_kept_for_good_under_the_present_version_only() -> None:
    # When a part is fetched under the page's version, and under one of another deployment
    present, past = part("console.js"), part("console.js", "0123456789ab")
    # Then both are the present part, and only the first may be kept
    assert present.text == past.text
    assert present.headers["content-type"] == "text/javascript; charset=utf-8"
    assert present.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert past.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["index.html", "main.js", "..", "../app.py", "uPlot.mousewheel.js", "/etc/passwd", ""])
def test_it_serves_no_other_file(name: str) -> None:
    answer = part(name)
    assert (answer.status, answer.json["code"]) == (404, "ASSET_NOT_FOUND")
