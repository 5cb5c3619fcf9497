"""The command line against odd arguments, files and answers: what it prints, and that it never ends in a traceback."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import pytest

from leaseway.validation import USER_ID_PATTERN
from leaseway_local import cli
from leaseway_local.commands import api_access, ledger
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.deployment import layers

HOSTILE = "\x1b]0;x\x07\x1b[2J\x9b31m\x7f\u202e[/][bold]\u2066"
JOB = {
    "id": "1",
    "type": "SLEEP",
    "status": "COMPLETED",
    "attempts": 1,
    "max_attempts": 3,
    "worker": "w1",
    "progress": None,
    "progress_note": None,
    "version": 1,
    "started_at": None,
    "finished_at": None,
    "created_at": "2026-02-04T15:30:00Z",
    "tags": [],
    "payload": {},
    "result": {"number": 7},
    "error_message": None,
    "history": [],
}


CHANGES: dict[str, Any] = {"matched": 0, "changed": 0, "refused": 0, "content": [], "cursor": None}


class Run(NamedTuple):
    """How a command ended."""

    code: object
    out: str
    err: str


class _Stub(BaseHTTPRequestHandler):
    answers: list[tuple[int, bytes]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, body = self.answers.pop(0) if self.answers else (500, b"{}")
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def stub_api() -> Iterator[str]:
    """Serve the answers of `_Stub` at the address that is yielded, as the deployment's API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stub)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def api() -> Iterator[None]:
    with stub_api() as url, patch.object(api_access, "open_api", lambda target: ApiClient(url, timeout=5)):
        yield


def run(*arguments: str, answers: list[Any] | None = None, raw: list[tuple[int, bytes]] | None = None) -> Run:
    _Stub.answers = raw or [(200, json.dumps(answer).encode()) for answer in answers or []]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["leaseway", *arguments]):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    assert "Traceback" not in err.getvalue()
    return Run(code, out.getvalue(), err.getvalue())


def page(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"content": list(rows), "totalElements": len(rows), "cursor": None} | fields


TASK = {
    "id": "0" * 32,
    "name": "nightly",
    "state": "WAITING",
    "cron": None,
    "every": "5m",
    "type": "SLEEP",
    "next_run": None,
    "run": None,
    "missed": 0,
    "skipped": 0,
}


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("jobs", "list", "--all"), page(JOB, cursor="again")),
        (("jobs", "list", "--all", "--cursor", "again"), page(cursor="again")),
        (("errors",), page(JOB, cursor="again")),
        (("tasks", "list"), {"content": [TASK], "cursor": "again"}),
        (("tasks", "run", "no-such-name"), {"content": [TASK], "cursor": "again"}),
        (("jobs", "cancel", "--tag", "x", "--yes"), CHANGES | {"cursor": "again"}),
        (("jobs", "retry", "--tag", "x", "--dry-run"), CHANGES | {"cursor": "again"}),
    ],
)
def test_a_cursor_that_repeats_ends_the_command(api: None, arguments: tuple[str, ...], answer: dict[str, Any]) -> None:
    ended = run(*arguments, answers=[answer] * 10)
    assert ended.code == 1
    assert "'cursor'" in ended.err


def test_dead_letters_that_never_become_fewer_end_the_command(api: None) -> None:
    answer = {"replayed": 5, "left": 7, "last_starts_at": None}
    ended = run("dead-letters", "replay", "--all", "--yes", answers=[answer] * 2_000)
    assert ended.code == 1
    assert "'left'" in ended.err


def test_a_list_is_read_to_its_end(api: None) -> None:
    pages = [page(JOB, cursor=cursor) for cursor in ("a", "b", "c", "d", None)]
    ended = run("jobs", "list", "--all", "--json", answers=pages)
    assert len(json.loads(ended.out)["content"]) == 5


@pytest.mark.parametrize(
    ("arguments", "answer", "field"),
    [
        (("jobs", "get", "1"), JOB | {"status": None}, "$.status"),
        (("jobs", "get", "1"), JOB | {"progress": "half"}, "$.progress"),
        (("jobs", "get", "1"), JOB | {"history": [{"number": 1}]}, "$.history[0]"),
        (("jobs", "list"), page(JOB | {"attempts": "1"}), "$.content[0].attempts"),
        (("jobs", "list"), page(JOB, totalElements="1"), "$.totalElements"),
        (("jobs", "list"), {"content": [], "totalElements": 0}, "`cursor`"),
        (("balance", "show", "1"), {"userId": "1", "balance": "1.5", "version": 1, "updated_at": ""}, "$.balance"),
        (("tasks", "list"), {"content": [TASK | {"missed": 1.5}], "cursor": None}, "$.content[0].missed"),
        (("tasks", "run", "0" * 32), {"job_id": HOSTILE}, "$.job_id"),
    ],
)
def test_an_error_names_the_field_that_is_wrong(
    api: None, arguments: tuple[str, ...], answer: dict[str, Any], field: str
) -> None:
    ended = run(*arguments, answers=[answer])
    assert ended.code == 1
    assert field in ended.err
    assert "leaseway status" in ended.err


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("jobs", "get", "1"), JOB | {"result": {"body": HOSTILE}}),
        (("jobs", "get", "1"), JOB | {"error_message": HOSTILE, "tags": [HOSTILE], "payload": {HOSTILE: HOSTILE}}),
        (("jobs", "wait", "1"), JOB | {"result": {"x": HOSTILE[:20]}, "worker": HOSTILE}),
        (("jobs", "create", "SLEEP", "--wait"), JOB | {"type": HOSTILE, "result": {"n": HOSTILE[:20]}}),
        (("jobs", "list"), page(JOB | {"type": HOSTILE, "status": HOSTILE})),
        (("jobs", "list"), page(JOB, cursor=HOSTILE)),
        (("dead-letters", "list"), page(JOB | {"status": "FAILED", "error_message": HOSTILE})),
        (("errors",), page(JOB | {"status": "FAILED", "error_message": HOSTILE})),
        (("balance", "show", "1"), {"userId": HOSTILE, "balance": 1.5, "version": 1, "updated_at": HOSTILE}),
        (("jobs", "get", "1", "--json"), JOB | {"result": {"body": HOSTILE}}),
    ],
)
def test_what_a_worker_or_a_page_wrote_cannot_act_on_the_terminal(
    api: None, arguments: tuple[str, ...], answer: dict[str, Any]
) -> None:
    ended = run(*arguments, answers=[answer, answer])
    assert ended.code == 0, ended
    assert "\\x1b" in ended.out or "\\u001b" in ended.out
    assert not set(ended.out + ended.err) & set("\x1b\x07\x9b\x7f\u202e\u2066")


def test_json_of_hostile_data_is_the_data(api: None) -> None:
    answer = JOB | {"result": {"body": HOSTILE}}
    assert json.loads(run("jobs", "get", "1", "--json", answers=[answer]).out) == answer


@pytest.mark.parametrize("command", [("jobs", "get"), ("jobs", "wait"), ("jobs", "cancel"), ("balance", "show")])
@pytest.mark.parametrize("name", ["", ".", "..", "\udcff"])
def test_what_names_nothing_is_refused_before_any_request(api: None, command: tuple[str, str], name: str) -> None:
    assert run(*command, name, answers=[page()]).code == 2


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ('{"a": 1, "a": 2}', "occurs twice"),
        ('{"a": {"b": 1, "b": 1}}', "occurs twice"),
        ('{"a": [{"b": 1, "c": 2, "b": 3}]}', "occurs twice"),
        ('{"a": NaN}', "no JSON number"),
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ("null", "JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"a": {"b": {"c": {"d": 1, "e": 2, "d": 1}}}}', "the name 'd' occurs twice"),
        ('[{"a": 1, "a": 2}]', "the name 'a' occurs twice"),
        ('{"": 1, "": 2}', "the name '' occurs twice"),
        ('{"a": 1, "\\u0061": 2}', "the name 'a' occurs twice"),
        ('{"a": [[[{"b": null, "b": null}]]]}', "the name 'b' occurs twice"),
        ('{"a": Infinity}', "no JSON number"),
        ('{"a": -Infinity}', "no JSON number"),
        ('{"a": [NaN]}', "no JSON number"),
        ('{"a": 1e999}', "is too large"),
        ('{"a": -1e400}', "is too large"),
        ('{"a": {"b": [1.5e+309]}}', "is too large"),
        ("\ufeff{}", "not JSON"),
        ('{"a": 1}}', "not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 01}', "not JSON"),
        ('{"a": "\n"}', "not JSON"),
        ("", "not JSON"),
    ],
)
def test_a_payload_that_the_api_would_refuse_is_refused_here(api: None, payload: str, why: str) -> None:
    ended = run("jobs", "create", "SLEEP", "--payload", payload, answers=[JOB])
    assert ended.code == 2
    assert why in " ".join(ended.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        ("{}", {}),
        ('{"a": 1, "b": {"a": 1}}', {"a": 1, "b": {"a": 1}}),
        ('{"a": [{"a": 1}, {"a": 2}]}', {"a": [{"a": 1}, {"a": 2}]}),
        ('{"n": 18446744073709551616}', {"n": 18446744073709551616}),
        (' {"a": -0.5e-3, "b": null, "c": "é\\u0000"} ', {"a": -0.0005, "b": None, "c": "é\0"}),
        ('{"n": 1.7976931348623157e308}', {"n": 1.7976931348623157e308}),
    ],
)
def test_a_payload_is_sent_as_it_was_written(payload: str, sent: dict[str, Any]) -> None:
    bodies: list[Any] = []

    def answer(transport: object, request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.read()))
        return httpx.Response(201, json=JOB)

    with (
        patch.object(httpx.HTTPTransport, "handle_request", answer),
        patch.object(api_access, "open_api", lambda target: ApiClient("http://a/v1")),
    ):
        assert run("jobs", "create", "SLEEP", "--payload", payload).code == 0

    assert bodies == [{"type": "SLEEP", "payload": sent}]


@pytest.mark.parametrize("fields", [{"totalElements": None}, {"totalElements": None, "totalPages": None}])
@pytest.mark.parametrize("command", [("jobs", "list", "--tag", "x"), ("dead-letters", "list")])
def test_a_total_that_is_not_counted_is_left_out(api: None, command: tuple[str, ...], fields: dict[str, Any]) -> None:
    ended = run(*command, answers=[page(JOB, cursor="abc", **fields)])
    assert ended.code == 0
    assert ended.out.rstrip().endswith("more with --cursor abc")
    assert "in all" not in ended.out


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b"1e999", b'{"id": 1', b"\xff\xfe", b"{}", b'"x"', b"[" * 90_000]
)
@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_of_another_form_is_one_line(api: None, body: bytes, status: int) -> None:
    ended = run("jobs", "get", "1", raw=[(status, body)])
    assert ended.code == 1
    assert ended.err.strip()


@pytest.mark.parametrize("place", ["nowhere/x", "a-file/x", "", "\0"])
def test_an_export_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setattr(ledger, "invoke_check", lambda *_: {"entries": [{"user_id": "1"}], "after": None})
    assert run("ledger", "export", "-o", f"{tmp_path}/{place}").code in (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_an_export_onto_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "invoke_check", lambda *_: {"entries": [{"user_id": "1"}], "after": None})
    ended = run("ledger", "export", "-o", "/dev/full")
    assert (ended.code, ended.err.splitlines()[0]) == (1, "✗ cannot write /dev/full: No space left on device.")


def test_a_failed_export_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> dict[str, Any]:
        raise OSError(5, "Input/output error")

    (tmp_path / "x").write_text("before")
    monkeypatch.setattr(ledger, "invoke_check", fail)
    assert run("ledger", "export", "-o", str(tmp_path / "x")).code == 1
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "before")]


@pytest.mark.parametrize("command", ["show", "verify", "repair", "export"])
def test_an_empty_user_is_refused_in_our_words(command: str) -> None:
    ended = run("ledger", command, "")
    assert ended.code == 2
    assert "the user id is empty" in ended.err


ODD_USERS = (" ", ".", "..", "a/b", "a\n", "\udcff", "é", "\x1b[2J", "a" * 129, "a" * 9_000, "-", "#1")


@pytest.mark.parametrize("command", ["show", "verify", "repair", "export"])
@pytest.mark.parametrize("user", ODD_USERS)
def test_what_is_no_users_id_is_refused_before_any_request(command: str, user: str) -> None:
    ended = run("ledger", command, "--", user)
    assert ended.code == 2
    assert "is no user id" in " ".join(ended.err.replace("│", " ").split())


def test_a_users_id_is_what_the_api_takes_for_one() -> None:
    assert f"^{ledger._USER_ID.pattern}$" == USER_ID_PATTERN


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../users", "..%2Fusers"),
        ("%2e%2e", "%252e%252e"),
        ("?x=1", "%3Fx%3D1"),
        ("#", "%23"),
        (" ", "%20"),
        ("\n", "%0A"),
        ("é", "%C3%A9"),
        ("...", "..."),
    ],
)
def test_a_name_is_one_segment_of_the_path(name: str, segment: str) -> None:
    sent: list[bytes] = []

    def answer(transport: object, request: httpx.Request) -> httpx.Response:
        sent.append(request.url.raw_path)
        return httpx.Response(404, json={"code": "JOB_NOT_FOUND", "detail": "no such job"})

    with (
        patch.object(httpx.HTTPTransport, "handle_request", answer),
        patch.object(api_access, "open_api", lambda target: ApiClient("http://a/v1")),
    ):
        ended = run("jobs", "get", "--", name)

    assert sent == [f"/v1/api/v1/jobs/{segment}".encode()]
    assert (ended.code, ended.err) == (1, "JOB_NOT_FOUND: no such job\n")


@pytest.mark.parametrize("source", ["def f(:\n", "x = 1\nif x\n", "\n\n\nreturn = 3\n", "x = (\n", "'''\n"])
def test_a_syntax_error_names_the_users_file_and_line(tmp_path: Path, source: str) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "build"
    (origin / "api").mkdir(parents=True)
    (origin / "api" / "bad.py").write_text(source)
    layers.copy_sources(origin, folder)
    with pytest.raises(layers.RecipeError) as refused:
        layers.compile_tree(folder, origin)
    assert str(refused.value).startswith(f"{origin / 'api' / 'bad.py'}, line ")
