"""Query parameters that select a page of a list of jobs."""

from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway.cursors import LARGEST_PAGE
from leaseway.jobs.find.lists import DEEPEST_OFFSET


class JobWindow(msgspec.Struct, forbid_unknown_fields=True):
    """The part of the list to return."""

    page: (
        Annotated[
            int,
            Meta(
                ge=0,
                description=f"Counts from 0; page x size can be at most {DEEPEST_OFFSET}. Excludes `cursor`",
                extra_json_schema={"maximum": DEEPEST_OFFSET},
            ),
        ]
        | None
    ) = None
    size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Jobs per page")] = 20
    cursor: (
        Annotated[
            str,
            Meta(
                description="The cursor of an earlier page of the same list; excludes `page`",
                extra_json_schema={"minLength": 1},
            ),
        ]
        | None
    ) = None
