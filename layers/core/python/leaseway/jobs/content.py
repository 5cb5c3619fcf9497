"""Payloads and results: in the item while they are small, in the bucket above `INLINE_BYTES`."""

import json
from typing import Any, NamedTuple

import msgspec

from leaseway import objects
from leaseway.jobs.job import Job
from leaseway.settings import settings


class Content(NamedTuple):
    """Where a JSON object is kept: its text, or the key of the object that holds it. One of the two is None."""

    text: str | None
    key: str | None


LARGEST_BYTES = 2 * 1024 * 1024
"""Encoded size of the largest payload or result. Lambda returns at most 6 MB, and a job's answer holds both, as JSON
within JSON. An executor that makes more stores an object and returns its key.
"""


class NotStorableError(Exception):
    """A value cannot be stored as a payload or result. The text is what to say of it, such as "is not JSON"."""


class NotJsonError(NotStorableError):
    """The value is no JSON object, or holds what JSON has no form for, such as NaN."""


class ContentTooLargeError(NotStorableError):
    """The value has more than `LARGEST_BYTES` as JSON."""


def store(value: dict[str, Any], owner: str, job_id: str, name: str) -> Content:
    """Keep a JSON object. No call for a small one, one PutObject for a large one.

    `name` makes the key unique within the job, so that an object is written once and never overwritten.

    Raises:
        NotJsonError: the value is no JSON object, or holds what JSON has no form for, such as NaN.
        ContentTooLargeError: it has more than `LARGEST_BYTES` as JSON.
        UnavailableError: the bucket did not take it.
    """
    encoded = _encode_object(value)
    if len(encoded) <= settings().inline_bytes:
        return Content(encoded.decode(), None)
    if len(encoded) > LARGEST_BYTES:
        raise ContentTooLargeError(f"is too large: {len(encoded)} bytes as JSON, the limit is {LARGEST_BYTES}")
    key = objects.job_key(owner, job_id, f"{name}.json")
    objects.put_bytes(key, encoded, "application/json")
    return Content(None, key)


def fits_inline(value: dict[str, Any]) -> bool:
    """Whether `store` keeps a JSON object in the item. Raises NotJsonError as `store` does."""
    return len(_encode_object(value)) <= settings().inline_bytes


def _encode_object(value: Any) -> bytes:
    try:
        encoded = msgspec.json.encode(value)
        if b"null" in encoded:  # msgspec writes NaN and infinity so, without a word
            json.dumps(msgspec.to_builtins(value), allow_nan=False)
    except Exception as problem:  # the value may have code of its own
        raise NotJsonError(f"is not JSON: {str(problem) or type(problem).__name__}") from problem
    if not encoded.startswith(b"{"):
        raise NotJsonError(f"is not JSON: {type(value).__name__} is no object")
    return encoded


def load_payload(job: Job) -> dict[str, Any]:
    """Load the job's payload: no call for a small one, one GetObject for a large one.

    Raises:
        ObjectNotFoundError: it is no longer in the bucket.
        UnavailableError: the bucket does not answer.
    """
    return objects.get_json(job.payload_key) if job.payload_key else job.payload


def load_result(job: Job) -> dict[str, Any] | None:
    """Load the job's result, None if it has none. Costs and raises as `load_payload` does."""
    return objects.get_json(job.result_key) if job.result_key else job.result
