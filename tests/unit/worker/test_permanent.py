"""Which failures end a job at its first attempt, and which leave it to another."""

import base64
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.jobs import Job, JobStatus, Options, create_job
from leaseway.settings import require_setting, settings
from support.http_servers import CountingServer, Reply, run_counting_server
from support.job_steps import read_job
from worker.app import handler

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    with run_counting_server() as counting:
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", counting.pair)
        settings.cache_clear()
        yield counting


def run_first_attempt(type_name: str, payload: dict[str, Any]) -> Job:
    """Create a job with five attempts, and let a worker run the first."""
    job = create_job("ann", type_name, payload, Options(max_attempts=5))
    answer = aws.client("sqs").receive_message(QueueUrl=require_setting("jobs_queue_url"), MaxNumberOfMessages=10)
    records = [
        {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
        for one in answer["Messages"]
    ]
    handler({"Records": records}, SimpleNamespace(log_stream_name="s", get_remaining_time_in_millis=lambda: 900_000))
    return read_job(job)


def resize(source: dict[str, str]) -> dict[str, Any]:
    return {"source": source, "width": 8, "height": 8}


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://169.254.169.254/", "not a public address"),
        ("http://127.1/", "not a public address"),
        ("http://[", "is refused"),
        ("/", "redirects"),
        ("ftp://example.org/", "http:// or https://"),
        ("//user:password@example.org/", "a user name or a password"),
    ],
)
@pytest.mark.parametrize("type_name", ["HTTP_GET", "IMAGE_RESIZE"])
def test_a_redirect_that_is_refused_fails_the_job_at_its_first_attempt(
    server: CountingServer, type_name: str, location: str, why: str
) -> None:
    server.redirect("/", location)
    source = {"url": server.url("/")}
    ended = run_first_attempt(type_name, source if type_name == "HTTP_GET" else resize(source))
    assert (ended.status, ended.attempts) == (JobStatus.FAILED, 1)
    assert why in str(ended.error_message)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>404</html>", "it looks like HTML"),
        (b"<svg/>", "it looks like SVG"),
        (b"\x89PNG\r\n\x1a\n", "it looks like a broken PNG"),
        (b"BM" + bytes(60), "a broken BMP"),
        (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2\x4c\1\0;", "more pixels"),
        (b"no picture", "its format is unknown"),
    ],
)
def test_what_is_no_picture_fails_the_job_at_its_first_attempt(
    server: CountingServer, content: bytes, why: str
) -> None:
    server.replies["/"] = Reply(200, content)
    inline = {"base64": base64.b64encode(content).decode()}
    for source in (inline, {"url": server.url("/")}):
        ended = run_first_attempt("IMAGE_RESIZE", resize(source))
        assert (ended.status, ended.attempts) == (JobStatus.FAILED, 1)
        assert why in str(ended.error_message)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"hello", {"Content-Encoding": "gzip"}),
        Reply(200, b"zz\r\n", {"Transfer-Encoding": "chunked"}),
        Reply(200, b"hello", {"Not a name": "x"}),
        Reply(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}),
        Reply(200, b"hello", {"Transfer-Encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.headers} {reply.body!r}",
)
@pytest.mark.parametrize("type_name", ["HTTP_GET", "IMAGE_RESIZE"])
def test_an_answer_that_may_be_whole_next_time_leaves_the_job_another_attempt(
    server: CountingServer, type_name: str, reply: Reply
) -> None:
    server.replies["/"] = reply
    source = {"url": server.url("/")}
    waiting = run_first_attempt(type_name, source if type_name == "HTTP_GET" else resize(source))
    assert (waiting.status, waiting.attempts) == (JobStatus.CREATED, 1)
