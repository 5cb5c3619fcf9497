"""Requests about tasks: bodies, query parameters and ids in paths."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.fields import PLAIN_TEXT
from api.ids import TaskId, is_id
from leaseway.cursors import LARGEST_PAGE
from leaseway.jobs.create.build import MOST_ATTEMPTS, SHORTEST_TTL_MS
from leaseway.tasks import CatchUp, Overlap, TaskNotFoundError
from leaseway.tasks.definitions import LONGEST_JITTER_SECONDS, LONGEST_START_SECONDS
from leaseway.tasks.history import STATUSES

TASK_PATH = {"id": Annotated[TaskId, Meta(description="The task's id")]}
"""The path parameter of the routes of one task."""

_Cron = Annotated[
    str,
    Meta(
        max_length=100,
        description="Five fields, as in a crontab: minute, hour, day, month, weekday. Give this or `every`",
        examples=["30 4 * * 1-5"],
    ),
]
_Every = Annotated[
    str, Meta(max_length=10, description="A number with s, m, h or d, from 60s to 31d. Give this or `cron`")
]
_Zone = Annotated[
    str,
    Meta(
        max_length=64,
        description="The IANA time zone of the cron expression, such as `Europe/Berlin`; UTC with `every`",
    ),
]
_Type = Annotated[
    str, Meta(max_length=64, description="The job type of the runs", extra_json_schema={"format": "job-type"})
]
_Payload = Annotated[dict[str, Any], Meta(description="As the type's schema defines it; at most 4 KB")]
_Ttl = Annotated[
    int,
    Meta(
        description="Time to live of each attempt in ms, by default the type's, otherwise 60000; at most 840000, or"
        " 39600000 for a type whose workers are outside Lambda",
        extra_json_schema={"minimum": SHORTEST_TTL_MS},
    ),
]
_Attempts = Annotated[
    int,
    Meta(
        description="Attempts of a run, 1 to 20; by default the type's, otherwise 3",
        extra_json_schema={"minimum": 1, "maximum": MOST_ATTEMPTS},
    ),
]
_Enabled = Annotated[bool, Meta(description="false pauses the task: it has no slots, so none is missed")]
_Overlap = Annotated[Overlap, Meta(description="`skip`: a slot during a run is skipped. `allow`: runs may overlap")]
_CatchUp = Annotated[
    CatchUp, Meta(description="What to do about missed slots: `latest` runs the latest once, `none` runs none")
]
_Jitter = Annotated[
    int,
    Meta(
        ge=0,
        le=LONGEST_JITTER_SECONDS,
        description="Delays each run by a random time up to this many seconds",
    ),
]


_StartWithin = Annotated[
    int,
    Meta(
        ge=1,
        le=LONGEST_START_SECONDS,
        description="A run that no worker has claimed this many seconds after its time is CANCELLED; if null, it waits"
        " without a limit, and with `skip` every slot is skipped until it runs",
    ),
]


class NewTask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A job to run on a schedule."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100,
            description="A unique name, without control characters",
            examples=["nightly-report"],
            extra_json_schema=PLAIN_TEXT,
        ),
    ]
    type: _Type
    payload: _Payload = msgspec.field(default_factory=dict)
    cron: _Cron | None = None
    every: _Every | None = None
    timezone: _Zone = "UTC"
    ttl_ms: _Ttl | None = None
    max_attempts: _Attempts | None = None
    enabled: _Enabled = True
    overlap: _Overlap = Overlap.SKIP
    catch_up: _CatchUp = CatchUp.LATEST
    jitter_seconds: _Jitter = 0
    start_within_seconds: _StartWithin | None = None


class TaskChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields to change; the others stay. `cron` replaces `every`, and `every` replaces `cron`."""

    type: _Type | UnsetType = UNSET
    payload: _Payload | UnsetType = UNSET
    cron: _Cron | UnsetType = UNSET
    every: _Every | UnsetType = UNSET
    timezone: _Zone | UnsetType = UNSET
    ttl_ms: _Ttl | UnsetType = UNSET
    max_attempts: _Attempts | UnsetType = UNSET
    enabled: _Enabled | UnsetType = UNSET
    overlap: _Overlap | UnsetType = UNSET
    catch_up: _CatchUp | UnsetType = UNSET
    jitter_seconds: _Jitter | UnsetType = UNSET
    start_within_seconds: _StartWithin | UnsetType | None = UNSET


class TaskWindow(msgspec.Struct, forbid_unknown_fields=True):
    """The part of the list to return."""

    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Tasks per page")] = 50
    cursor: (
        Annotated[str, Meta(description="The cursor of an earlier page", extra_json_schema={"minLength": 1})] | None
    ) = None


class HistoryFilter(msgspec.Struct, forbid_unknown_fields=True):
    """A filter of entries, and the part of the list to return."""

    status: (
        Annotated[
            str,
            Meta(
                description="Only runs with this status, or only SKIPPED or MISSED slots",
                extra_json_schema={"enum": list(STATUSES)},
            ),
        ]
        | None
    ) = None
    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Entries per page")] = 20
    cursor: (
        Annotated[
            str, Meta(description="The cursor of an earlier page of the same list", extra_json_schema={"minLength": 1})
        ]
        | None
    ) = None


def parse_task_id(text: str) -> str:
    """Return the id of a task from a path. Text that cannot be an id is refused without a read.

    Raises:
        TaskNotFoundError: not 32 hexadecimal digits.
    """
    if not is_id(text):
        raise TaskNotFoundError
    return text
