"""Requests that change many jobs."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from api.fields import Owner
from api.job_filters import TagFilter, TypeFilter
from leaseway.jobs.control.bulk import CANCELLABLE, MOST_TOGETHER, RETRYABLE


class ManyJobs(msgspec.Struct, forbid_unknown_fields=True):
    """A selection of jobs to change. At least one of status, type, tag and the times is required."""

    status: Annotated[str, Meta(description="Only jobs with this status")] | None = None
    type: TypeFilter | None = None
    tag: TagFilter | None = None
    owner: (
        Annotated[Owner, Meta(description="The owner, by default you. For Admins: another user's name, or `*`")] | None
    ) = None
    created_after: (
        Annotated[datetime, Meta(tz=True, description="Only jobs created at or after this time; RFC 3339")] | None
    ) = None
    created_before: (
        Annotated[
            datetime,
            Meta(tz=True, description="Only jobs created before this time, which must not be before `created_after`"),
        ]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=MOST_TOGETHER, description="The largest number of jobs to change")] = (
        MOST_TOGETHER
    )
    dry_run: Annotated[bool, Meta(description="Return the jobs that would change, without changing them")] = False
    cursor: (
        Annotated[
            str,
            Meta(
                description="The cursor of an earlier answer to the same selection", extra_json_schema={"minLength": 1}
            ),
        ]
        | None
    ) = None


class JobsToCancel(ManyJobs, forbid_unknown_fields=True):
    """A selection of jobs to cancel. At least one of status, type, tag and the times is required."""

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
    """A selection of jobs to retry. At least one of status, type, tag and the times is required."""

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
