"""Requests about jobs: bodies and query parameters."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.fields import Owner, milliseconds
from api.job_filters import TagFilter, TypeFilter
from api.paging import JobWindow
from leaseway.jobs import JobStatus, Options
from leaseway.jobs.create.batch import LARGEST_BATCH
from leaseway.jobs.create.build import LONGEST_EXPIRY_MS, MOST_ATTEMPTS, SHORTEST_TTL_MS
from leaseway.jobs.create.options import Priority
from leaseway.jobs.tag_syntax import MOST_TAGS, TAG_PATTERN
from leaseway.validation import whole_match


class NewJob(msgspec.Struct, forbid_unknown_fields=True):
    """A job to run: its type, and the payload that the type's schema describes."""

    type: Annotated[str, Meta(max_length=64)]
    payload: dict[str, Any]
    tags: Annotated[
        list[Annotated[str, whole_match(TAG_PATTERN)]],
        Meta(max_length=MOST_TAGS, description="Tags to list the job by: `GET /api/v1/jobs?tag=`"),
    ] = []
    ttl_ms: Annotated[
        int | None,
        Meta(
            description="Time to live in ms, from the start of each attempt, and longer than the payload's own"
            " duration; by default the type's, otherwise 60000; at most 840000, or 39600000 for types with workers"
            " outside Lambda",
            extra_json_schema={"minimum": SHORTEST_TTL_MS},
        ),
    ] = None
    max_attempts: Annotated[
        int | None,
        Meta(
            description="Attempts before the job is FAILED, 1 to 20; by default the type's, otherwise 3",
            extra_json_schema={"minimum": 1, "maximum": MOST_ATTEMPTS},
        ),
    ] = None
    expires_after_ms: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=LONGEST_EXPIRY_MS,
                description="No attempt starts when the job is older than this; it is CANCELLED instead. A running one"
                " may continue within its TTL. By default there is no limit",
            ),
        ]
        | None
    ) = None
    run_at: (
        Annotated[datetime, Meta(tz=True, description="The earliest start, within a year; RFC 3339 with a time zone")]
        | None
    ) = None
    delay_seconds: (
        Annotated[int, Meta(ge=0, le=366 * 86_400, description="Seconds until the earliest start; excludes run_at")]
        | None
    ) = None
    priority: (
        Annotated[
            Priority,
            Meta(
                description="Each priority has separate workers, so low jobs do not delay high ones; normal by default."
                " Not for a type with its own queue"
            ),
        ]
        | None
    ) = None
    retention_days: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=3_650,
                description="Days that the job is kept after its end, fewer than the bucket keeps objects (460 by"
                " default); by default 90",
            ),
        ]
        | None
    ) = None
    order_key: (
        Annotated[
            str,
            whole_match(
                r"^[^\x00-\x1f\x7f]{1,128}$",
                description="Your jobs with the same key run one at a time, in the order of creation. Excludes"
                " priority, run_at, delay_seconds and types with their own queue",
            ),
        ]
        | None
    ) = None


def read_options(new_job: NewJob) -> Options:
    """The options of a job, as the domain knows them."""
    return Options(
        tags=new_job.tags,
        ttl_ms=new_job.ttl_ms,
        max_attempts=new_job.max_attempts,
        run_at=milliseconds(new_job.run_at),
        delay_seconds=new_job.delay_seconds,
        priority=new_job.priority,
        retention_days=new_job.retention_days,
        expires_after_ms=new_job.expires_after_ms,
        order_key=new_job.order_key,
    )


class NewJobs(msgspec.Struct, forbid_unknown_fields=True):
    """The jobs to create."""

    jobs: Annotated[
        list[dict[str, Any]],
        Meta(
            min_length=1,
            max_length=LARGEST_BATCH,
            extra_json_schema={"items": {"$ref": "#/components/schemas/NewJob"}},
        ),
    ]


class JobFilter(JobWindow, forbid_unknown_fields=True):
    """A filter of jobs, and the part of the list to return."""

    status: (
        Annotated[
            str,
            Meta(
                description="Only jobs with this status; FINISHED means COMPLETED",
                extra_json_schema={"enum": [*JobStatus.__members__, "FINISHED"]},
            ),
        ]
        | None
    ) = None
    type: TypeFilter | None = None
    tag: TagFilter | None = None
    ended_after: (
        Annotated[
            str,
            Meta(
                description="Only jobs that ended at or after this time, oldest end first; RFC 3339. Excludes `page`",
                extra_json_schema={"format": "date-time"},
            ),
        ]
        | None
    ) = None
    owner: (
        Annotated[
            Owner,
            Meta(
                description="The owner of the jobs, by default you. For Admins: another user's name, or `*` for all"
                " users, which requires a status",
            ),
        ]
        | None
    ) = None
