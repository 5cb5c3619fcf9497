"""URL_CHECK: request a list of URLs several times, and report how they answered."""

from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway import clock
from leaseway.jobs.types import JobContext, JobType, JsonObject
from leaseway.outbound.urls import URL_LENGTH, UrlRefusedError, check_url
from worker.pacing import PACED_TTL_MS, TWO_MINUTES_MS, Duration, paced, read_duration

_BODY_BYTES = 1_024  # enough to know that there is one

Url = Annotated[str, Meta(min_length=1, max_length=URL_LENGTH, description="http or https, at a public address")]


class UrlCheckPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which URLs to request, and how often."""

    urls: Annotated[list[Url], Meta(min_length=1, max_length=20, examples=[["https://example.com/"]])]
    rounds: Annotated[int, Meta(ge=1, le=100, description="How often each URL is requested")] = 5
    duration_ms: Duration = TWO_MINUTES_MS


class _Record(msgspec.Struct):
    """How one URL answered so far."""

    url: str
    answered: int = 0
    failed: int = 0
    status: int | None = None
    error: str | None = None
    slowest_ms: int = 0


def check(payload: UrlCheckPayload, _: str) -> None:
    """Refuse at creation what can be refused from the URLs' text.

    Raises:
        UrlRefusedError: names the field.
    """
    for place, url in enumerate(payload.urls):
        check_url(url, field=f"payload.urls.{place}")


def run(payload: UrlCheckPayload, context: JobContext) -> JsonObject:
    """Report for each URL how often it answered, its last status, its slowest answer and its last error.

    A URL that does not answer, or is refused, is what the check is for: it does not fail the job.
    """
    records = [_Record(url) for url in payload.urls]
    for step in paced(context, payload.duration_ms, payload.rounds * len(records), "request"):
        _request(records[step % len(records)], context)
    return {"checked": payload.rounds * len(records), "urls": [msgspec.structs.asdict(record) for record in records]}


def _request(record: _Record, context: JobContext) -> None:
    from leaseway.outbound.fetching import FetchFailedError, fetch

    began = clock.now_ms()
    try:
        answer = fetch(record.url, limit=_BODY_BYTES, remaining=context.remaining_seconds)
    except (FetchFailedError, UrlRefusedError) as problem:
        record.failed += 1
        record.error = problem.detail
    else:
        record.answered += 1
        record.status = answer.status
    record.slowest_ms = max(record.slowest_ms, clock.now_ms() - began)


TYPE = JobType(
    "URL_CHECK",
    UrlCheckPayload,
    run,
    "Request URLs repeatedly and report how they answered",
    check,
    ttl_ms=PACED_TTL_MS,
    least_ms=read_duration,
)
