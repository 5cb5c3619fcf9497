"""Request headers in the forms that HTTP allows: parameters, lists, repeated lines, and what contradicts itself."""

import pytest

from api.access import ACCESS
from support.api_gateway import ApiResponse, call, post

pytestmark = pytest.mark.usefixtures("cloud")

JOBS = "/api/v1/jobs"
EXTERNAL = '{"type": "EXTERNAL", "payload": {}}'
JSON = "application/json"


def send(body: str = EXTERNAL, **headers: str | list[str]) -> ApiResponse:
    return call("POST", JOBS, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "application/json;",
        "APPLICATION/JSON ; CharSet = UTF-8",
        'application/json; profile="a;charset=utf-16"; charset=utf-8',
        'application/json; x="; charset=latin1"',
        "application/json; xcharset=latin1",
        "application/json;charset=utf-8;charset=utf8",
        "application/json; charset*=utf-8''utf-8",
        "application/vnd.api+json; version=1",
        [JSON, JSON],
    ],
)
def test_a_content_type_is_read_with_its_parameters(content_type: str | list[str]) -> None:
    assert send(content_type=content_type).status == 202


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("application/json;charset=utf-8;charset=latin1", "latin1"),
        ("application/json;charset=latin1;charset=utf-8", "latin1"),
        ('application/json; profile="a;b"; charset="utf-16"', "utf-16"),
        ("application/json; charset=", "''"),
        ("application/json; charset*=iso-8859-1''latin1", "latin1"),
        ("application/json; charset=utf-8-sig", "utf-8-sig"),
        ("application/json; charset=utf-7", "utf-7"),
        ("application/json; charset=\xfc", "\xfc"),
        ("application/json; charset=" + "x" * 4_000, "xxx"),
        (["application/json; charset=utf-8", "application/json; charset=latin1"], "application/json"),
    ],
)
def test_any_charset_but_utf_8_is_refused_by_its_name(content_type: str | list[str], named: str) -> None:
    answer = send(content_type=content_type)
    assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert named in answer.json["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/*", "application/json+x", "application/jsonl", "json", [JSON, "text/plain"]],
)
def test_what_is_not_json_is_refused(content_type: str | list[str]) -> None:
    answer = send(content_type=content_type)
    assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("coding", ["", "identity", " Identity ", "identity, identity", ",identity,", ["identity", ""]])
def test_a_body_without_a_coding_is_read(coding: str | list[str]) -> None:
    assert send(content_type=JSON, content_encoding=coding).status == 202


@pytest.mark.parametrize(
    ("coding", "named"),
    [
        ("gzip, identity", "gzip"),
        (["identity", "br"], "br"),
        (["zstd", "identity"], "zstd"),
        ("*", "*"),
        ("none", "none"),
        ("aws-chunked", "aws-chunked"),
        ("identity;q=1", "identity;q=1"),
        ("\xfc", "\xfc"),
    ],
)
def test_any_other_coding_is_refused_by_its_name(coding: str | list[str], named: str) -> None:
    answer = send(content_type=JSON, content_encoding=coding)
    assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert named in answer.json["detail"]


NO_KEYS = ["", " ", "a b", "a, b", "x" * 256, "caf\xe9", "\x7f", "k\n", "\u2028", ["a", "b"], ["a", ""], ["b", "a"]]


@pytest.mark.parametrize("route", sorted(path for method, path in ACCESS if method == "POST" and "{" not in path))
def test_a_key_that_is_none_is_refused_on_every_route(route: str) -> None:
    answers = [post(route, "{}", headers={"Idempotency-Key": key}) for key in NO_KEYS]
    assert [answer.status for answer in answers] == [400] * len(NO_KEYS)
    assert all("Idempotency-Key" in answer.text for answer in answers)


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
@pytest.mark.parametrize("key", ["k", "k,l", "x" * 255, "!~", ["k", "k"]])
def test_a_key_is_honoured_in_any_spelling_of_its_header(name: str, key: str | list[str]) -> None:
    answers = [post(JOBS, EXTERNAL, headers={name: key}) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (['"1"', '"2"'], 200),
        (['"2"', '"1"'], 200),
        (['"1"', '"1"'], 200),
        (['"7"', 'W/"9"', '"1"'], 200),
        (['"2"', '"3"'], 412),
        (['W/"1"', '"2"'], 412),
        (["*", '"1"'], 400),
        (['"1"', "1"], 400),
    ],
)
def test_lines_of_etags_are_one_list(lines: list[str], status: int) -> None:
    path = {"id": post(JOBS, EXTERNAL).json["id"]}
    assert call("POST", f"{JOBS}/{{id}}/cancel", path=path, headers={"If-Match": lines}).status == status
