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


class NotJsonError(Exception):
    """A value cannot be written as a JSON object; the text says why."""


def store(value: dict[str, Any], owner: str, job_id: str, name: str) -> Content:
    """Keep a JSON object. No call for a small one, one PutObject for a large one.

    `name` makes the key unique within the job, so that an object is written once and never overwritten.

    Raises:
        NotJsonError: the value is no JSON object, or holds what JSON has no form for, such as NaN.
        UnavailableError: the bucket did not take it.
    """
    encoded = _encode_object(value)
    if len(encoded) <= settings().inline_bytes:
        return Content(encoded.decode(), None)
    key = objects.job_key(owner, job_id, f"{name}.json")
    objects.put_bytes(key, encoded, "application/json")
    return Content(None, key)


def _encode_object(value: Any) -> bytes:
    try:
        encoded = msgspec.json.encode(value)
        if b"null" in encoded:  # msgspec writes NaN and infinity so, without a word
            json.dumps(msgspec.to_builtins(value), allow_nan=False)
    except Exception as problem:  # the value may have code of its own
        raise NotJsonError(str(problem) or type(problem).__name__) from problem
    if not encoded.startswith(b"{"):
        raise NotJsonError(f"{type(value).__name__} is no object")
    return encoded


def escape_surrogates(text: str) -> str:
    """Return the text with lone surrogates escaped: an executor may pass on a file's name, and JSON cannot hold it."""
    return text.encode(errors="backslashreplace").decode()


def payload_of(job: Job) -> dict[str, Any]:
    """The job's payload, from the bucket where it is large."""
    return objects.get_json(job.payload_key) if job.payload_key else job.payload


def result_of(job: Job) -> dict[str, Any] | None:
    """The job's result, from the bucket where it is large; None where there is none."""
    return objects.get_json(job.result_key) if job.result_key else job.result
