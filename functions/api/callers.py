"""Who is calling. The one seam between the gateway's authorizer and the routes."""

import msgspec
from chalice.app import Request

from api.problems import HttpError

EVERYBODY = "*"


class ForbiddenError(HttpError):
    """You may not do this."""

    code = "FORBIDDEN"
    status = 403


class Caller(msgspec.Struct, frozen=True):
    """The subject of a request, and whether it may act for everybody."""

    subject: str
    admin: bool

    @property
    def sees_owner(self) -> str | None:
        """The owner whose jobs this caller may see; None means every owner's."""
        return None if self.admin else self.subject

    def must_own(self, user_id: str) -> None:
        """Refuse what only the account's own user and an Admin may do.

        Raises:
            ForbiddenError: the caller is neither.
        """
        if not self.admin and user_id != self.subject:
            raise ForbiddenError

    def listed_owner(self, asked_for: str | None) -> str | None:
        """The owner whose jobs a list shows: by default the caller's own; None, asked for as `*`, means everybody's.

        Raises:
            ForbiddenError: only an Admin lists what is another's.
        """
        if asked_for is None or asked_for == self.subject:
            return self.subject
        if not self.admin:
            raise ForbiddenError
        return None if asked_for == EVERYBODY else asked_for


_ANYBODY = Caller(subject="anonymous", admin=True)


def caller_of(request: Request) -> Caller:
    """The caller of a request. Everything is open as long as there is no identity."""
    return _ANYBODY
