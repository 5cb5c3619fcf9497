"""Forms of values in the API's JSON that all views share. Accounts, jobs and tasks have separate modules."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Time = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]


def rfc3339(milliseconds: int) -> str:
    """A time in milliseconds since the epoch as RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_or_none(milliseconds: int | None) -> str | None:
    """Like `rfc3339`, but None for None."""
    return None if milliseconds is None else rfc3339(milliseconds)
