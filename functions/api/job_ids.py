"""A job's id: how the API describes it, and how it is read from a path."""

import re
from typing import Annotated

from msgspec import Meta

from leaseway.jobs import JobNotFoundError

JobId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", examples=["0f8b6c1e2d3a4b5c6d7e8f9012345678"])]

_job_id = re.compile(r"[0-9a-f]{32}")


def job_id(text: str) -> str:
    """A job's id from a path; what cannot be one is not looked up.

    Raises:
        JobNotFoundError: not 32 hexadecimal digits.
    """
    if not _job_id.fullmatch(text):
        raise JobNotFoundError
    return text
