"""Payloads and results: in the item while they are small, in the bucket above `INLINE_BYTES`."""

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
    """A value cannot be written as JSON; the text says why."""


def store(value: dict[str, Any], owner: str, job_id: str, name: str) -> Content:
    """Keep a JSON object. No call for a small one, one PutObject for a large one.

    `name` makes the key unique within the job, so that an object is written once and never overwritten.

    Raises:
        NotJsonError: the value has no JSON form.
        UnavailableError: the bucket did not take it.
    """
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as problem:
        raise NotJsonError(str(problem)) from problem
    if len(encoded) <= settings().inline_bytes:
        return Content(encoded.decode(), None)
    key = objects.job_key(owner, job_id, f"{name}.json")
    objects.put_bytes(key, encoded, "application/json")
    return Content(None, key)


def payload_of(job: Job) -> dict[str, Any]:
    """The job's payload, from the bucket where it is large."""
    return objects.get_json(job.payload_key) if job.payload_key else job.payload


def result_of(job: Job) -> dict[str, Any] | None:
    """The job's result, from the bucket where it is large; None where there is none."""
    return objects.get_json(job.result_key) if job.result_key else job.result
