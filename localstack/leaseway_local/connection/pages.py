"""Following the cursors of a list to its end."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from leaseway_local.answer_checks import Shape, UnexpectedAnswerError
from leaseway_local.connection.api_client import ApiClient


class CursorTrail:
    """The cursors that a list has returned. One that repeats would make the list endless."""

    def __init__(self, start: str | None = None) -> None:
        self._seen = {start}

    def follow(self, cursor: str | None) -> str | None:
        """Return the cursor of the next page, or None at the end.

        Raises:
            UnexpectedAnswerError: an earlier page had the same cursor.
        """
        if not cursor:
            return None
        if cursor in self._seen:
            raise UnexpectedAnswerError(f"repeats the value of the field 'cursor' of an earlier page: {cursor!r}")
        self._seen.add(cursor)
        return cursor


def read_pages(api: ApiClient, path: str, shape: type[Shape], query: Mapping[str, Any]) -> Iterator[Shape]:
    """Read a list page by page. One request per page. Raises what `ApiClient.get` and `CursorTrail.follow` raise."""
    trail = CursorTrail(query.get("cursor"))
    while True:
        page = api.get(path, shape, **query)
        yield page
        cursor = trail.follow(cast(Any, page)["cursor"])
        if cursor is None:
            return
        query = {**query, "cursor": cursor}


def read_pages_so_far(api: ApiClient, path: str, shape: type[Shape], query: Mapping[str, Any]) -> Iterator[Shape]:
    """Read a list whose cursor stays the same once everything so far is read. One request per page, and one more."""
    while True:
        page = api.get(path, shape, **query)
        yield page
        cursor = cast(Any, page)["cursor"]
        if cursor == query.get("cursor"):
            return
        query = {**query, "cursor": cursor}
