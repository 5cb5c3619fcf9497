"""Filters of jobs that lists and changes of many jobs have in common."""

from typing import Annotated

from msgspec import Meta

from leaseway.jobs.tag_syntax import TAG_PATTERN
from leaseway.validation import whole_match

TypeFilter = Annotated[
    str, Meta(max_length=64, description="Only jobs of this type", extra_json_schema={"format": "job-type"})
]

TagFilter = Annotated[str, whole_match(TAG_PATTERN, description="Only jobs with this tag")]
