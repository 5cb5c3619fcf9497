"""STORAGE_AUDIT: read every object of the owner in the bucket, count them and find duplicates."""

import hashlib
from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway import objects
from leaseway.errors import LeasewayError
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject
from leaseway.settings import settings
from worker.pacing import PACED_TTL_MS, TWO_MINUTES_MS, Duration, paced, read_duration

_PORTIONS = 10


class AuditPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many objects to read, and how long to take."""

    most: Annotated[int, Meta(ge=1, le=1_000, description="Objects to read, in the order of their keys")] = 200
    duration_ms: Duration = TWO_MINUTES_MS


class _Findings(msgspec.Struct):
    """What was read so far."""

    contents: Counter[str] = msgspec.field(default_factory=Counter)
    bytes: int = 0
    gone: int = 0
    largest: tuple[int, str] = (0, "")


def run(payload: AuditPayload, context: JobContext) -> JsonObject:
    """Report the number of objects and bytes, the number of duplicates, and the largest object.

    Raises:
        JobError: time ran out, or the bucket does not answer.
    """
    findings = _Findings()
    try:
        keys = objects.list_keys(context.owner, payload.most)
        for portion in paced(context, payload.duration_ms, _PORTIONS, "portion"):
            for key in keys[portion::_PORTIONS]:
                _read(key, findings)
    except LeasewayError as problem:
        raise JobError(problem.detail) from problem
    read = findings.contents.total()
    return {
        "objects": read,
        "bytes": findings.bytes,
        "duplicates": read - len(findings.contents),
        "gone_meanwhile": findings.gone,
        "largest": findings.largest[1] or None,
        "complete": len(keys) < payload.most,
    }


def _read(key: str, findings: _Findings) -> None:
    try:
        content = objects.get_bytes(key, settings().upload_limit)
    except objects.ObjectNotFoundError:
        findings.gone += 1
        return
    findings.contents[hashlib.sha256(content).hexdigest()] += 1
    findings.bytes += len(content)
    findings.largest = max(findings.largest, (len(content), key))


# Each reads up to a thousand objects: many at a time would take the bucket's bandwidth from everybody else.
TYPE = JobType(
    "STORAGE_AUDIT",
    AuditPayload,
    run,
    "Read an owner's objects and report their number, size and duplicates",
    limit=2,
    ttl_ms=PACED_TTL_MS,
    least_ms=read_duration,
)
