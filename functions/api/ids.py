"""Ids of jobs and tasks: how the API describes them, and how it reads them from a path."""

import re
from typing import Annotated

from leaseway.jobs import JobNotFoundError
from leaseway.validation import whole_match

ID_PATTERN = "^[0-9a-f]{32}$"
_id = re.compile(ID_PATTERN)

JobId = Annotated[str, whole_match(ID_PATTERN, examples=["0f8b6c1e2d3a4b5c6d7e8f9012345678"])]
TaskId = Annotated[str, whole_match(ID_PATTERN, examples=["1f8b6c1e2d3a4b5c6d7e8f9012345678"])]


def is_id(text: str) -> bool:
    """Return whether `text` has the form of an id: 32 hexadecimal digits."""
    return _id.fullmatch(text) is not None


def parse_job_id(text: str) -> str:
    """Return the id of a job from a path. Text that cannot be an id is refused without a read.

    Raises:
        JobNotFoundError: not 32 hexadecimal digits.
    """
    if not is_id(text):
        raise JobNotFoundError
    return text
