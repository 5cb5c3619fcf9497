"""HTTP_GET: the answer, whatever its status, is the result; no answer is an error; a forbidden URL gets no hit."""

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from leaseway.errors import InvalidInputError
from leaseway.jobs.types import JobError, JsonObject, PermanentJobError, job_type
from leaseway.settings import settings
from support.http_servers import CountingServer, Reply, run_counting_server, run_scripted_server
from support.running_job import RunningJob


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    with run_counting_server() as counting:
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", counting.pair)
        settings.cache_clear()
        yield counting


def test_the_answer_is_the_result(run_job: Callable[..., JsonObject], server: CountingServer) -> None:
    server.replies["/page"] = Reply(200, "grüße".encode(), {"Content-Type": "text/plain"})
    server.redirect("/", "/page")
    result = run_job("HTTP_GET", {"url": server.url("/")})
    headers, duration = result.pop("headers"), result.pop("duration_ms")
    assert result == {
        "status": 200,
        "size": 7,
        "body": "grüße",
        "body_encoding": "text",
        "truncated": False,
        "redirects": 1,
        "url": server.url("/page"),
    }
    assert headers["content-type"] == "text/plain"
    assert 0 <= duration < 60_000
    assert server.hits == ["/", "/page"]


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_status_is_a_result_too(
    run_job: Callable[..., JsonObject], server: CountingServer, status: int
) -> None:
    server.replies["/"] = Reply(status, b"sorry")
    result = run_job("HTTP_GET", {"url": server.url("/")})
    assert (result["status"], result["body"]) == (status, "sorry")
    assert server.hits == ["/"]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/html; charset=ISO-8859-1", b"gr\xfc\xdfe", "grüße"),
        ('text/plain; charset="windows-1251"', "привет".encode("cp1251"), "привет"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("text/plain; charset=zlib", b"plain", "plain"),
        ("text/plain; charset=no-such-thing", b"plain", "plain"),
        ("", b"plain", "plain"),
        ("text/plain; charset=utf-8", b"\xff\xfd", None),
        ("text/plain; charset=utf-16", b"hello", None),
        ("application/octet-stream", b"a\0b", None),
        ("image/png", b"\x89PNG\r\n\x1a\n", None),
    ],
)
def test_a_body_is_text_where_it_is_text_and_base64_elsewhere(
    run_job: Callable[..., JsonObject], server: CountingServer, content_type: str, body: bytes, text: str | None
) -> None:
    server.replies["/"] = Reply(200, body, {"Content-Type": content_type})
    result = run_job("HTTP_GET", {"url": server.url("/")})
    encoding, stored = result["body_encoding"], result["body"]
    assert (encoding, stored) == (("text", text) if text is not None else ("base64", base64.b64encode(body).decode()))
    json.dumps(result).encode()


def test_a_long_body_is_cut_at_the_limit_between_two_characters(
    run_job: Callable[..., JsonObject], server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_BODY_LIMIT", "1001")
    settings.cache_clear()
    server.replies["/"] = Reply(200, "ü".encode() * 1_000)
    result = run_job("HTTP_GET", {"url": server.url("/")})
    assert (result["truncated"], result["size"], result["body"]) == (True, 2_000, "ü" * 500)


def test_an_address_that_is_not_allowed_is_refused_at_creation_and_gets_no_hit(
    run_job: Callable[..., JsonObject],
) -> None:
    with run_counting_server() as forbidden:
        for url in (forbidden.url(), f"http://localhost:{forbidden.port}/", f"http://127.1:{forbidden.port}/"):
            with pytest.raises(InvalidInputError) as refusal:
                run_job("HTTP_GET", {"url": url})
            assert (refusal.value.field, refusal.value.code) == ("payload.url", "URL_REFUSED")
        assert forbidden.hits == []


def test_an_address_that_is_refused_at_the_run_fails_the_job(
    run_job: Callable[..., JsonObject], server: CountingServer
) -> None:
    with run_counting_server() as forbidden:
        server.redirect("/", forbidden.url())
        with pytest.raises(JobError, match=r"127\.0\.0\.1 is not a public address"):
            run_job("HTTP_GET", {"url": server.url("/")})
        assert forbidden.hits == []


def test_no_answer_fails_the_job(
    run_job: Callable[..., JsonObject], job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_counting_server() as gone:
        url = gone.url()
    monkeypatch.setenv("HTTP_ALLOWED_HOSTS", gone.pair)
    settings.cache_clear()
    with pytest.raises(JobError, match="Connection refused"):
        run_job("HTTP_GET", {"url": url})


def test_a_cancelled_fetch_ends_although_the_server_goes_on(
    run_job: Callable[..., JsonObject], job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n")
        while not over.wait(0.05):
            connection.sendall(b"x")

    with run_scripted_server(drip) as (pair, _):
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", pair)
        settings.cache_clear()
        threading.Timer(0.3, job.cancel).start()
        began = time.monotonic()
        with pytest.raises(JobError, match="time ran out"):
            run_job("HTTP_GET", {"url": f"http://{pair}/"})
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "location",
    [
        *("http://[", "/", "http://169.254.169.254/", "http://user:password@example.org/", "mailto:a@example.org"),
        *("//[::1]/", "http://127.1/", "javascript:alert(1)", "//example.org:99999/", "http://xn--/", "#again"),
    ],
)
def test_what_another_attempt_cannot_mend_fails_for_good(
    run_job: Callable[..., JsonObject], server: CountingServer, location: str
) -> None:
    server.redirect("/", location)
    with pytest.raises(PermanentJobError):
        run_job("HTTP_GET", {"url": server.url("/")})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress(b"hello", mtime=0)[:-1]),
        ({"Content-Encoding": "gzip"}, b"hello"),
        ({"Content-Encoding": "deflate"}, b"\xff\xff"),
        ({"Transfer-Encoding": "chunked"}, b"zz\r\nhello"),
        ({"Not a name": "x"}, b"hello"),
    ],
)
def test_a_broken_answer_may_be_tried_again(
    run_job: Callable[..., JsonObject], server: CountingServer, headers: dict[str, str], body: bytes
) -> None:
    server.replies["/"] = Reply(200, body, headers)
    with pytest.raises(JobError) as failure:
        run_job("HTTP_GET", {"url": server.url("/")})
    assert not isinstance(failure.value, PermanentJobError)


@pytest.mark.parametrize("payload", [{}, {"url": ""}, {"url": 1}, {"url": None}, {"url": "x", "method": "POST"}])
def test_a_payload_that_does_not_fit_is_refused_at_creation(payload: dict) -> None:
    with pytest.raises(InvalidInputError):
        job_type("HTTP_GET").parse(payload)
