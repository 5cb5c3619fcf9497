"""The HTTP surface of a deployed stack: what the gateway and the function answer together."""

import gzip
import json
import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import urljoin
from uuid import uuid4

import httpx
import pytest
from openapi_spec_validator import validate

from support.deployed_stacks import DeployedStack

ROOT = Path(__file__).resolve().parents[2]


def test_the_api_says_that_it_is_alive(stack: DeployedStack) -> None:
    # Given a deployed stack
    # When it is asked for its health
    answer = stack.api.request("GET", "/health")
    # Then it answers, and names the request
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("GET", "/api"), ("DELETE", "/health"), ("GET", "/api/users/x/y/z")]
)
def test_the_gateway_answers_an_unknown_route_with_a_problem(stack: DeployedStack, method: str, path: str) -> None:
    # Given a path or a method that no route has
    # When it is asked for
    answer = stack.api.request(method, path)
    # Then the gateway itself answers as the function would
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (404, "ROUTE_NOT_FOUND", 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == f"urn:leaseway:request:{answer.headers['x-request-id']}"


def test_every_documented_operation_reaches_the_function(stack: DeployedStack, subtests: pytest.Subtests) -> None:
    # Given the document that the stack serves
    document = stack.api.request("GET", "/openapi.json").json()
    validate(document)
    assert document == json.loads((ROOT / "functions" / "api" / "openapi.json").read_text())
    for path, item in document["paths"].items():
        for method in item:
            with subtests.test(f"{method} {path}"):
                # When each operation is called with nothing that fits
                answer = stack.api.request(method.upper(), path.replace("{", "").replace("}", ""))
                # Then it is the function that answers: it is no unknown route, and no failure
                assert answer.status_code < 500
                assert answer.headers["x-request-id"]
                assert answer.status_code < 400 or answer.json().get("code") != "ROUTE_NOT_FOUND"


def test_swagger_ui_loads_from_the_api_alone(stack: DeployedStack) -> None:
    # Given the page of Swagger UI at its own address
    page = stack.api.request("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    # When a browser resolves and loads its parts
    parts = [part.partition('"')[0] for part in page.text.split('="docs/')[1:]]
    loaded = {part: httpx.get(urljoin(str(page.url), f"docs/{part}"), trust_env=False) for part in parts}
    # Then each arrives whole and as what it is
    assert {name: answer.status_code for name, answer in loaded.items()} == dict.fromkeys(parts, 200)
    assert loaded["swagger-ui.css"].headers["content-type"].startswith("text/css")
    assert loaded["start.js"].headers["content-type"].startswith("text/javascript")
    assert len(loaded["swagger-ui-bundle.js"].content) > 1_000_000


def test_the_console_loads_from_the_api_alone(stack: DeployedStack) -> None:
    # Given the console's page at its own address
    page = stack.api.request("GET", "/console")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    # When a browser resolves and loads what it names
    parts = [part.partition('"')[0] for part in re.split(r'(?:src|href)="(?=console/)', page.text)[1:]]
    loaded = {
        part.rpartition("/")[2]: httpx.get(urljoin(str(page.url), part), timeout=35, trust_env=False) for part in parts
    }
    # Then each arrives, its charts out of the runtime layer too, and may be kept
    assert {"console.js", "console.css", "icon.svg", "uPlot.iife.js"} <= loaded.keys()
    assert {answer.status_code for answer in loaded.values()} == {200}
    assert all("immutable" in answer.headers["cache-control"] for answer in loaded.values())
    assert loaded["icon.svg"].headers["content-type"].startswith("image/svg+xml")
    assert "uPlot" in loaded["uPlot.iife.js"].text


def test_locations_lead_to_what_was_made(stack: DeployedStack) -> None:
    # Given an account and a job just made
    user = f"http-{uuid4().hex}"
    account = stack.api.request("POST", "/api/users", json={"userId": user, "balance": 1})
    job = stack.api.request("POST", "/api/v1/jobs", json={"type": "GENERATE_NUMBER", "payload": {}})
    # When their locations are followed from where they were made
    followed = [
        httpx.get(urljoin(str(answer.url), answer.headers["location"]), auth=stack.admin, trust_env=False).json()
        for answer in (account, job)
    ]
    # Then there they are
    assert (account.status_code, job.status_code) == (201, 202)
    assert (followed[0]["userId"], followed[1]["id"]) == (user, job.json()["id"])


def test_amounts_travel_exactly(stack: DeployedStack) -> None:
    # Given a balance that binary floating point cannot hold
    user = f"http-{uuid4().hex}"
    stack.api.request("POST", "/api/users", content=f'{{"userId": "{user}", "balance": 0.10}}'.encode(), headers=JSON)
    # When 0.20 is added
    change = f'{{"userId": "{user}", "amount": 0.20}}'.encode()
    answer = stack.api.request("POST", "/api/users/update-balance", content=change, headers=JSON)
    # Then 0.30 is there, with two places on the wire
    assert '"balance":0.30,' in answer.text
    assert json.loads(answer.text, parse_float=Decimal)["balance"] == Decimal("0.30")


JSON = {"content-type": "application/json"}


def test_head_and_options_work_wherever_get_does(stack: DeployedStack, subtests: pytest.Subtests) -> None:
    # Given every path that can be read
    document = stack.api.get("/openapi.json")
    for path in (path for path, item in document["paths"].items() if "get" in item):
        with subtests.test(path):
            # When it is asked for by HEAD and by OPTIONS
            url = path.replace("{", "").replace("}", "")
            whole, head = (stack.api.request(method, url) for method in ("GET", "HEAD"))
            options = stack.as_anonymous().request("OPTIONS", url)
            # Then HEAD is as GET without the body, and OPTIONS names both
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers["content-type"] == whole.headers["content-type"]
            assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "application/json; charset=iso-8859-1"}, '{"userId": "caf\xe9"}'.encode("latin-1"), 415),
        ({"content-type": "application/json"}, '{"userId": "caf\xe9"}'.encode("latin-1"), 400),
        ({"content-type": "application/json"}, '{"userId": "x"}'.encode("utf-16"), 400),
        ({"content-type": "application/json"}, b'{"userId": "x\\ud800"}', 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    stack: DeployedStack, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = stack.api.request("POST", "/api/users", headers=headers, content=content)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


@pytest.mark.only_on("ministack", because="LocalStack inflates a compressed body before a function sees it")
@pytest.mark.parametrize("content", [gzip.compress(b'{"userId": "x"}', mtime=0), b"\x1f\x8b\x08\x00"])
def test_a_compressed_body_is_refused_by_its_coding(stack: DeployedStack, content: bytes) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = stack.api.request("POST", "/api/users", headers=headers, content=content)
    assert (answer.status_code, answer.json()["status"]) == (415, 415)
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize("lines", [["k", "l"], ["k", ""], ["", "k"], ["k l"], ["x" * 256], ["caf\u00e9"]])
def test_an_idempotency_key_that_is_none_is_refused(stack: DeployedStack, lines: list[str]) -> None:
    # Given a request with as many lines of Idempotency-Key
    headers = httpx.Headers([("idempotency-key", line.encode()) for line in lines])
    # When it is sent
    answer = stack.api.request("POST", "/api/users", headers=headers, json={"userId": uuid4().hex})
    # Then it is refused: two lines are no key, and neither is text that is no visible ASCII
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")
