"""Requests about many jobs at a time."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from api.fields import Owner
from leaseway.jobs.control.bulk import CANCELLABLE, MOST_TOGETHER, RETRYABLE
from leaseway.jobs.tag_syntax import TAG_PATTERN
from leaseway.validation import whole_match


class ManyJobs(msgspec.Struct, forbid_unknown_fields=True):
    """Which jobs to change, and how many at a time. At least one of status, type, tag and the times is needed."""

    status: Annotated[str, Meta(description="Only jobs in this status")] | None = None
    type: (
        Annotated[
            str, Meta(max_length=64, description="Only jobs of this type", extra_json_schema={"format": "job-type"})
        ]
        | None
    ) = None
    tag: Annotated[str, whole_match(TAG_PATTERN, description="Only jobs with this tag")] | None = None
    owner: Annotated[Owner, Meta(description="Whose: your own, or for an Admin another's name, or `*`")] | None = None
    created_after: (
        Annotated[datetime, Meta(tz=True, description="Only jobs created at this time or later; RFC 3339")] | None
    ) = None
    created_before: (
        Annotated[
            datetime,
            Meta(tz=True, description="Only jobs created before this time, which is not before `created_after`"),
        ]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=MOST_TOGETHER, description="Jobs to change at most")] = MOST_TOGETHER
    dry_run: Annotated[bool, Meta(description="Tell which jobs it would be, and change none")] = False
    cursor: (
        Annotated[
            str,
            Meta(
                description="Leads on from an earlier answer to the same selection", extra_json_schema={"minLength": 1}
            ),
        ]
        | None
    ) = None


class JobsToCancel(ManyJobs, forbid_unknown_fields=True):
    """Which jobs to cancel, and how many at a time. At least one of status, type, tag and the times is needed."""

    status: (
        Annotated[
            str,
            Meta(
                description="Only jobs in this status, by default CREATED and RUNNING ones",
                extra_json_schema={"enum": [status.value for status in CANCELLABLE]},
            ),
        ]
        | None
    ) = None


class JobsToRetry(ManyJobs, forbid_unknown_fields=True):
    """Which jobs to try again, and how many at a time. At least one of status, type, tag and the times is needed."""

    status: (
        Annotated[
            str,
            Meta(
                description="Only jobs in this status, by default FAILED and CANCELLED ones",
                extra_json_schema={"enum": [status.value for status in RETRYABLE]},
            ),
        ]
        | None
    ) = None
