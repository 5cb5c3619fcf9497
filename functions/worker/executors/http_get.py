"""HTTP_GET: fetch a URL and store the server's response.

A 404 or a 500 is a result like any other: the job asks what the server answers, and fails only if there is no answer.
"""

import base64
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject, PermanentJobError
from leaseway.outbound.urls import URL_LENGTH, UrlRefusedError, check_url
from leaseway.settings import settings

if TYPE_CHECKING:
    from leaseway.outbound.fetching import FetchedResponse


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
    """Fetch the URL and return the answer: status, headers, body up to a limit.

    The body is text if its charset can decode it, and base64 of its bytes if not.

    Raises:
        PermanentJobError: the URL or a redirect is refused, or there are too many redirects.
        JobError: there is no answer, or one that is broken or cut off.
    """
    from leaseway.outbound.charsets import decode_body

    began = clock.now_ms()
    answer = _fetch(payload.url, context)
    text = decode_body(answer.body, answer.headers.get("content-type", ""), is_truncated=answer.truncated)
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


def _fetch(url: str, context: JobContext) -> "FetchedResponse":
    from leaseway.outbound.fetching import FetchFailedError, TooManyRedirectsError, fetch

    try:
        return fetch(url, limit=settings().http_body_limit, remaining=lambda: _find_remaining_seconds(context))
    except (UrlRefusedError, TooManyRedirectsError) as problem:
        raise PermanentJobError(problem.detail) from problem
    except FetchFailedError as problem:
        raise JobError(problem.detail) from problem


def _find_remaining_seconds(context: JobContext) -> float:
    return 0.0 if context.cancelled else context.remaining_seconds()


TYPE = JobType("HTTP_GET", HttpGetPayload, run, "Fetch a URL and store the response", check)
