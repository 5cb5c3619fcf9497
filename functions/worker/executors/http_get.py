"""HTTP_GET: fetch a URL and keep what the server answered.

A 404 or a 500 is a result like any other: the job asked what the server says, and fails only where there is no answer.
"""

import base64
import codecs
from email.message import Message
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject
from leaseway.outbound.urls import URL_LENGTH, UrlRefusedError, check_url
from leaseway.settings import settings

# Named, because Python's codecs also know compressions and other things that a server must not choose.
_CHARSETS = frozenset(
    {"utf-8", "us-ascii", "ascii", "utf-16", "iso-8859-1", "iso-8859-2", "iso-8859-5", "iso-8859-15", "windows-1250"}
    | {"windows-1251", "windows-1252", "koi8-r", "shift_jis", "euc-jp", "euc-kr", "gb2312", "gbk", "gb18030", "big5"}
)


class HttpGetPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to fetch."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=URL_LENGTH,
            description="http or https, at a public address",
            examples=["https://example.com/"],
        ),
    ]


def check(payload: HttpGetPayload, _: str) -> None:
    """Refuse at creation what can be refused from the URL's text.

    Raises:
        UrlRefusedError: names the field.
    """
    check_url(payload.url, field="payload.url")


def run(payload: HttpGetPayload, context: JobContext) -> JsonObject:
    """The answer: status, headers, body up to a limit.

    Raises:
        JobError: there is no answer, or a hop may not be asked.
    """
    from leaseway.outbound.fetching import FetchFailedError, fetch

    began = clock.now_ms()
    try:
        answer = fetch(payload.url, limit=settings().http_body_limit, remaining=lambda: _remaining(context))
    except (UrlRefusedError, FetchFailedError) as problem:
        raise JobError(problem.detail) from problem
    text = _as_text(answer.body, answer.headers.get("content-type", ""), answer.truncated)
    return {
        "status": answer.status,
        "headers": answer.headers,
        "size": answer.size,
        "body": base64.b64encode(answer.body).decode() if text is None else text,
        "body_encoding": "base64" if text is None else "text",
        "truncated": answer.truncated,
        "redirects": answer.redirects,
        "url": answer.url,
        "duration_ms": clock.now_ms() - began,
    }


def _remaining(context: JobContext) -> float:
    return 0.0 if context.cancelled else context.remaining_seconds()


def _as_text(body: bytes, content_type: str, truncated: bool) -> str | None:
    """The body as text, or None where it is none. A character cut in half at the limit is left out."""
    header = Message()
    header["Content-Type"] = content_type
    charset = header.get_content_charset("utf-8")
    decoder = codecs.getincrementaldecoder(charset if charset in _CHARSETS else "utf-8")("strict")
    try:
        text = decoder.decode(body, final=not truncated)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


TYPE = JobType("HTTP_GET", HttpGetPayload, run, "Fetch a URL and keep the answer", check)
