"""Views: the forms that the API speaks in, whatever the noun. Accounts, jobs and tasks have modules of their own."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Time = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]


def rfc3339(milliseconds: int) -> str:
    """A time in milliseconds since the epoch as RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_or_none(milliseconds: int | None) -> str | None:
    """The same of a time that may not be there."""
    return None if milliseconds is None else rfc3339(milliseconds)
