"""Bodies: what is read, what is refused with its reason, and that nothing is ever stored damaged."""

import json
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest

from api.json_numbers import write_whole_numbers
from leaseway.jobs import types
from leaseway.jobs.types import JobType
from support.api_gateway import ApiResponse, call, encode_base64, post

pytestmark = pytest.mark.usefixtures("cloud")

JOBS, USERS, UPDATE, TOKEN = "/api/v1/jobs", "/api/users", "/api/users/update-balance", "/connect/token"
SLEEP = {"type": "SLEEP", "payload": {"duration_ms": 5}}


class _Text(msgspec.Struct):
    text: str


def _make_failing_check(error: Exception) -> Any:
    def check(payload: _Text, _: str) -> None:
        if payload.text == "bad":
            raise error

    return check


ERRORS = [
    ValueError("no"),
    UnicodeError("no"),
    UnicodeDecodeError("idna", b"x", 0, 1, "no"),
    KeyError("no"),
    IndexError("no"),
    TypeError("no"),
    ZeroDivisionError("no"),
    OverflowError("no"),
    RecursionError("no"),
    AttributeError("no"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_check_that_breaks_refuses_its_payload_and_no_other(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job type whose own check raises what it should not
    kind = JobType("EXTERNAL", _Text, None, "A check that breaks", _make_failing_check(error), runs_on="external")
    monkeypatch.setattr(types, "catalogue", lambda: {"EXTERNAL": kind})
    bad, good = ({"type": "EXTERNAL", "payload": {"text": text}} for text in ("bad", "good"))
    # When such a job is created alone, and among others
    alone = post(JOBS, bad)
    batch = post(f"{JOBS}/batch", {"jobs": [good, bad, good]})
    # Then it is refused by its payload, and the others are created
    assert (alone.status, alone.json["code"], alone.json["field"]) == (400, "INVALID_INPUT", "payload")
    assert (batch.status, batch.json["accepted"], batch.json["refused"]) == (202, 2, 1)
    assert batch.json["content"][1]["problem"]["field"] == "payload"


@pytest.mark.parametrize("depth", [200, 400, 700, 950, 5_000])
def test_a_deep_payload_is_refused_or_created_whole(depth: int) -> None:
    # Given a payload that is nested deeply
    body = '{"type": "EXTERNAL", "payload": ' + '{"a":' * depth + "1" + "}" * (depth + 1)
    # When it is sent, with a key and without
    answers = [post(JOBS, body), post(JOBS, body, headers={"Idempotency-Key": "k"})]
    # Then it is no failure of ours
    assert {answer.status for answer in answers} <= {202, 400}
    assert all(read_again(answer) for answer in answers if answer.status == 202)


def read_again(answer: ApiResponse) -> bool:
    return call("GET", f"{JOBS}/{{id}}", path={"id": answer.json["id"]}).status == 200


@pytest.mark.parametrize("charset", ["iso-8859-1", "ISO-8859-1", "latin1", "utf-16", "windows-1252", '"utf-16le"', "x"])
@pytest.mark.parametrize("route", [JOBS, USERS])
def test_a_charset_that_is_not_read_is_refused(route: str, charset: str) -> None:
    answer = call("POST", route, body="{}", headers={"content-type": f"application/json; charset={charset}"})
    assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert charset.strip('"') in answer.json["detail"]


@pytest.mark.parametrize("kind", ["utf-8", "UTF-8", '"utf-8"', "utf8", " utf-8"])
def test_utf_8_by_any_spelling_is_read(kind: str) -> None:
    answer = call("POST", USERS, body='{"userId": "a"}', headers={"content-type": f"application/json; charset={kind}"})
    assert answer.status == 201


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x-gzip"])
@pytest.mark.parametrize("route", [JOBS, UPDATE, TOKEN])
def test_a_compressed_body_is_refused_by_the_name_of_its_coding(route: str, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    answer = call("POST", route, body="{}", headers=headers)
    assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert coding.lower() in answer.json["detail"]


@pytest.mark.parametrize(
    "raw",
    [
        '{"userId": "caf\xe9"}'.encode("latin-1"),
        b'{"userId": "a\xff"}',
        b'{"userId": "a\xc3"}',
        b'{"userId": "a\xed\xa0\x80"}',
        b'{"userId": "a", "balance": \xff}',
        '{"userId": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf" + b'{"userId": "a"}',
        b'{"userId": "a", "reference": "\xf5\x80\x80\x80"}',
    ],
)
@pytest.mark.parametrize("as_base64", [True, False])
def test_a_body_that_is_no_utf_8_is_refused(raw: bytes, as_base64: bool) -> None:
    # Given bytes that are no UTF-8, or begin with a mark; as text, the gateway has replaced what it could not read
    body = encode_base64(raw) if as_base64 else raw.decode(errors="replace")
    # When they arrive
    answer = call("POST", USERS, body=body, encoded=as_base64, headers={"content-type": "application/json"})
    # Then they are refused, and nothing is stored
    assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")


@pytest.mark.parametrize("text", ["caf\xe9", "\u20ac", "\U0001f600", "\u65e5\u672c", "\\ufffd", "\\ud83d\\ude00"])
def test_text_outside_ascii_is_stored_as_it_was_sent(text: str) -> None:
    created = post(JOBS, '{"type": "EXTERNAL", "payload": {"text": "TEXT"}}'.replace("TEXT", text))
    read = call("GET", f"{JOBS}/{{id}}", path={"id": created.json["id"]})
    assert read.json["payload"]["text"] == json.loads(f'"{text}"')


@pytest.mark.parametrize("text", ["\\ud800", "a\\udc00b", "\\uD83D\\uD83D", "\\udfff", "x\\ud800\\u0041", "\\ud800\\n"])
@pytest.mark.parametrize("body", ['{"userId": "%s"}', '{"userId": "a", "balance": "%s"}', '{"%s": 1}'])
def test_half_of_a_surrogate_pair_is_named(body: str, text: str) -> None:
    answer = post(USERS, body % text)
    assert answer.status == 400
    assert "surrogate" in answer.json["detail"]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (JOBS, '{"type": "SLEEP", "payload": {"duration_ms": 5.0}}'),
        (JOBS, '{"type": "SLEEP", "payload": {"duration_ms": 5}, "ttl_ms": 1000.0}'),
        (JOBS, '{"type": "SLEEP", "payload": {"duration_ms": 5.00}, "max_attempts": 2.0, "delay_seconds": 0.0}'),
        (USERS, '{"userId": 5.0, "balance": 1.50}'),
        (f"{JOBS}/claim", '{"types": ["EXTERNAL"], "worker": "w", "wait_seconds": 0.0}'),
        (f"{JOBS}/cancel", '{"status": "CREATED", "limit": 5.0}'),
        ("/api/v1/uploads", '{"content_type": "image/png", "size": 100.0}'),
        (
            "/api/tasks",
            '{"name": "t", "every": "5m", "type": "SLEEP", "payload": {"duration_ms": 5}, "ttl_ms": 9000.0}',
        ),
    ],
)
def test_a_number_without_a_fraction_is_an_integer(route: str, body: str) -> None:
    assert post(route, body).status in (200, 201, 202, 204)


@pytest.mark.parametrize("number", ["5.5", "55e-1", "1e-1", "5.01", "0.5", "1e400", "5.0000000000000000000001", "1e19"])
def test_a_number_with_a_fraction_or_out_of_range_is_no_integer(number: str) -> None:
    for body in ('{"status": "CREATED", "limit": %s}', '{"status": "CREATED", "dry_run": true, "limit": %s}'):
        answer = post(f"{JOBS}/cancel", body % number)
        assert (answer.status, answer.json["field"]) == (400, "limit")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"a": 5.0}', '{"a": 5}'),
        ('["5.0", "\\"5.0", "\\\\", 5.0]', '["5.0", "\\"5.0", "\\\\", 5]'),
        ("[0.0, -0.0, 123.000]", "[0, -0, 123]"),
        ("[5.5, 1e-3, 5.0e0, 1.0E2, 5.01]", "[5.5, 1e-3, 5.0e0, 1.0E2, 5.01]"),
        ('{"5.0": {"a": [-5.0,10.0]}}', '{"5.0": {"a": [-5,10]}}'),
    ],
)
def test_whole_numbers_are_written_in_plain_digits(text: str, written: str) -> None:
    assert write_whole_numbers(text.encode()).decode() == written


def test_whole_numbers_leave_amounts_and_text_as_they_were() -> None:
    assert post(USERS, '{"userId": 7.0, "balance": "5.0"}').json["userId"] == "7"
    assert post(f"{JOBS}/batch", '{"jobs": [{"type": "SLEEP", "payload": {"duration_ms": 5.0}}]}').json["accepted"] == 1


@pytest.mark.parametrize(
    "route",
    [
        f"{JOBS}/cancel",
        f"{JOBS}/retry",
        "/api/tasks",
        "/api/v1/uploads",
        "/api/v1/me/password",
        "/api/v1/dead-letters/replay",
        "/auth/register",
    ],
)
def test_a_key_where_no_answers_are_kept_is_refused(route: str) -> None:
    answer = post(route, "{}", headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.json["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("slashes", ["", "/"])
@pytest.mark.parametrize(
    ("route", "body", "left"),
    [
        (JOBS, SLEEP, "/api/v1/jobs/"),
        (USERS, {"userId": "a"}, "/api/users/a/balance"),
        ("/api/tasks", {**SLEEP, "name": "t", "every": "60s"}, "/api/tasks/"),
    ],
)
def test_a_location_resolves_from_the_address_that_was_asked(
    route: str, body: dict[str, Any], left: str, slashes: str
) -> None:
    answer = post(route, body, at=f"/v1{route}{slashes}")
    assert urljoin(f"/v1{route}{slashes}", answer.headers["location"]).startswith(f"/v1{left}")
