"""Conditions of requests: ETags in `If-Match`, types in filters, and a result that is sent twice."""

from typing import Any

import pytest

from api.access import ACCESS
from support.api_gateway import ApiResponse, call, post

pytestmark = pytest.mark.usefixtures("cloud")

JOBS = "/api/v1/jobs"
CONDITIONAL = {("POST", f"{JOBS}/{{id}}/cancel"), ("POST", f"{JOBS}/{{id}}/retry"), ("DELETE", f"{JOBS}/{{id}}")}


def new_job() -> dict[str, str]:
    return {"id": post(JOBS, {"type": "EXTERNAL", "payload": {}}).json["id"]}


def cancel_if(match: str, path: dict[str, str]) -> ApiResponse:
    return call("POST", f"{JOBS}/{{id}}/cancel", path=path, headers={"if-match": match})


@pytest.mark.parametrize(
    "match", ["*", " * ", '"1"', '"7", "1"', '"1","2"', 'W/"9", "1"', '"abc", "1"', '"1", ', '"", "1"']
)
def test_a_version_that_is_among_the_etags_is_changed(match: str) -> None:
    assert cancel_if(match, new_job()).status == 200


@pytest.mark.parametrize("match", ['"2"', 'W/"1"', '"7", "8"', 'W/"1", W/"2"', '"abc"', '""', '"1.0"', '"01x"'])
def test_a_version_that_is_not_among_the_etags_has_moved(match: str) -> None:
    answer = cancel_if(match, new_job())
    assert (answer.status, answer.json["code"]) == (412, "VERSION_MOVED")


@pytest.mark.parametrize("match", ["1", "", '"1', "W/1", "'1'", '*, "1"', 'w/"1"', '"1" "2"', "abc"])
def test_what_is_no_list_of_etags_is_refused(match: str) -> None:
    answer = cancel_if(match, new_job())
    assert (answer.status, answer.json["field"]) == (400, "If-Match")


@pytest.mark.parametrize(("method", "path"), sorted(ACCESS.keys() - CONDITIONAL))
def test_a_condition_is_refused_by_what_changes_things_without_etags(method: str, path: str) -> None:
    # Given a route whose answers have no ETag
    names = dict.fromkeys([part.partition("}")[0] for part in path.split("{")[1:]], "0" * 32) or None
    plain = call(method, path, path=names, body="{}", headers={"content-type": "application/json"})
    for match in ("*", '"1"', 'W/"1"', "", "x"):
        # When a request comes with a condition
        headers = {"content-type": "application/json", "If-Match": match}
        answer = call(method, path, path=names, body="{}", headers=headers)
        # Then a read is answered as without it, and a change is refused
        if method == "GET":
            assert answer.status == plain.status
        else:
            assert (answer.status, answer.json["field"]) == (400, "If-Match")


@pytest.mark.parametrize("name", ["NOPE", "sleep", "", "SLEEP ", "EXTERNAL\n", "*"])
def test_an_unknown_type_is_refused_in_a_filter_as_at_creation(name: str) -> None:
    answers = [
        call("GET", JOBS, query={"type": [name]}),
        post(f"{JOBS}/cancel", {"type": name}),
        post(f"{JOBS}/retry", {"type": name}),
    ]
    assert {(answer.status, answer.json["code"], answer.json["field"]) for answer in answers} == {
        (400, "UNKNOWN_JOB_TYPE", "type")
    }


@pytest.mark.parametrize("name", ["", " ", "\n", "ann\n", "*\n", "**", "a b", "-ann", "a" * 129, "\xe9", "\u2028", "%"])
def test_an_owner_that_nobody_can_be_is_refused_in_a_filter(name: str) -> None:
    answers = [
        call("GET", JOBS, query={"owner": [name]}),
        call("GET", "/api/v1/overview", query={"owner": [name]}),
        post(f"{JOBS}/cancel", {"owner": name, "status": "CREATED"}),
        post(f"{JOBS}/retry", {"owner": name, "status": "FAILED"}),
    ]
    assert {(answer.status, answer.json["code"], answer.json["field"]) for answer in answers} == {
        (400, "INVALID_INPUT", "owner")
    }


SAME = [
    ({"a": 1}, {"a": 1}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1}, {"a": 1.0}),
    ({}, {}),
    ({"n": 2**70}, {"n": 2**70}),
    ({"large": "x" * 100_000}, {"large": "x" * 100_000}),
]
OTHER = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"a": True}),
    ({"a": 1}, {}),
    ({}, {"a": None}),
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"large": "x" * 100_000}, {"large": "y" * 100_000}),
]


@pytest.mark.parametrize(
    ("first", "again", "status"), [(*pair, 200) for pair in SAME] + [(*pair, 409) for pair in OTHER]
)
def test_a_second_result_is_the_first_or_a_conflict(first: dict[str, Any], again: dict[str, Any], status: int) -> None:
    # Given a job that its worker completed
    path = new_job()
    token = post(f"{JOBS}/{{id}}/claim", {"worker": "w"}, path=path).json["claim_token"]
    assert post(f"{JOBS}/{{id}}/complete", {"claim_token": token, "result": first}, path=path).status == 200
    # When the worker completes it again
    answer = post(f"{JOBS}/{{id}}/complete", {"claim_token": token, "result": again}, path=path)
    # Then the same result is answered as the first time, and another is refused
    assert answer.status == status
    assert call("GET", f"{JOBS}/{{id}}/result", path=path).json["result"] == first
