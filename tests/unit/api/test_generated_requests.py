"""Requests that Schemathesis generates from the OpenAPI document: the function answers as the document says."""

import base64
import json
import re
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from api.oauth import FORM
from leaseway.jobs.run import external
from support.api_gateway import ApiResponse, call
from support.fuzz import count_examples
from support.openapi_answers import DOCUMENT, require_documented

pytestmark = pytest.mark.usefixtures("cloud")

OPERATIONS = {
    operation.label: operation
    for operation in (result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}
BOUNDED = settings(
    max_examples=count_examples(40),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
IN_WORDS = [
    ("page", r"page and cursor exclude each other|a list by the time of end has a cursor and no pages"),
    ("priority", r"jobs of this type wait in a queue of their own, all alike"),
    ("created_before", r"must not be before created_after"),
    ("progress", r"is needed with a progress_note"),
    ("order_key", r"a job that keeps an order .*|jobs of this type wait in a queue of their own, all alike"),
    ("run_at", r"must be within a year"),
    ("delay_seconds", r"run_at and delay_seconds exclude each other"),
    ("ttl_ms", r"must be above \d+: the payload's work takes as long.*"),
    ("payload.source.key", r"the key must name an object under owners/admin/"),
    ("payload.source.base64", r"not base64: .*|is empty|a data: URL .*"),
    ("expires_after_ms", r"must be from \d+, so that it can start at all, .*"),
    ("payload.source", r"give exactly one of base64, url and key"),
    ("amount", r"must not be zero|must be more than zero|must have at most 2 decimal places|must be at most 1.*"),
    ("balance", r"must not be negative|must have at most 2 decimal places|must be at most 1.*"),
    ("retention_days", r"must be from 1 to \d+: the bucket keeps nothing longer"),
    ("size", r"size must be 1 to 26214400 bytes"),
    ("at", r"is in the future"),
    ("status", r"a list of all owners needs a status"),
    ("owner", r"must be the userId"),
    (None, r"say which jobs: by status, type, tag or time of creation"),
]
"""Refusals of form, by field, that the document states in a description because a schema cannot or should not."""


@pytest.fixture(autouse=True)
def impatient_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a claim look for a job without the wait that the request asks for, up to 10 s."""
    claim_next = external.claim_next
    monkeypatch.setattr(external, "claim_next", lambda types, worker, _, **more: claim_next(types, worker, **more))


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_allows_is_taken(label: str) -> None:
    @BOUNDED
    @given(OPERATIONS[label].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def check(case: Case) -> None:
        # When a request comes that the document allows
        answer = send(case)
        # Then its answer is documented, and if it is refused, not for its form
        require_documented(case.path, case.method.lower(), answer)
        assert not is_refused_for_its_form(answer), f"{describe(case)} -> {answer.text}"

    check()


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_forbids_is_refused(label: str) -> None:
    @BOUNDED
    @given(OPERATIONS[label].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def check(case: Case) -> None:
        assume(case.meta is None or case.meta.generation.mode is GenerationMode.NEGATIVE)
        assume([] not in (case.query or {}).values())  # an empty list is sent as nothing
        # When a request comes that the document forbids
        answer = send(case)
        # Then it is refused, with a documented answer
        require_documented(case.path, case.method.lower(), answer)
        assert 400 <= answer.status < 500, f"{describe(case)} -> {answer.status} {answer.text}"

    try:
        check()
    except Unsatisfiable:
        # A path of free text, or no parameter at all: whatever can be sent is allowed.
        assert "requestBody" not in OPERATIONS[label].definition.raw


def send(case: Case) -> ApiResponse:
    """Send a generated request as API Gateway would hand it over."""
    headers = {str(name).lower(): str(value) for name, value in (case.headers or {}).items()}
    if case.media_type:
        headers["content-type"] = case.media_type
    path = {name: unquote(to_text(value)) for name, value in (case.path_parameters or {}).items()}
    values = {name: value if isinstance(value, list) else [value] for name, value in (case.query or {}).items()}
    query = {name: [to_text(item) for item in items] for name, items in values.items() if items}
    body, is_encoded = to_body(case)
    return call(
        case.method.upper(),
        case.path,
        path=path or None,
        query=query or None,
        headers=headers,
        body=body,
        encoded=is_encoded,
    )


def to_body(case: Case) -> tuple[str | None, bool]:
    """Return a generated body as the event's text, and whether that is base64."""
    if isinstance(case.body, bytes):
        return base64.b64encode(case.body).decode(), True
    if case.body is schemathesis.core.NOT_SET:
        return None, False
    if case.media_type == FORM and isinstance(case.body, dict):
        return urlencode(case.body), False
    return json.dumps(case.body), False


def to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def is_refused_for_its_form(answer: ApiResponse) -> bool:
    """Whether the answer is 400 for what a schema can say; codes of their own name what it cannot."""
    if answer.status != 400:
        return answer.status in (413, 415)
    problem = json.loads(answer.text)
    if "code" not in problem:
        return bool(problem["error"] == "invalid_request")
    return problem["code"] == "INVALID_INPUT" and not is_stated_in_words(problem)


def is_stated_in_words(problem: dict[str, Any]) -> bool:
    return any(
        field == problem.get("field") and re.fullmatch(detail, problem["detail"]) is not None
        for field, detail in IN_WORDS
    )


def describe(case: Case) -> str:
    return f"{case.method} {case.path} {case.path_parameters} ?{case.query} {case.headers} {case.body!r}"[:600]
